"""Hard negatives: mined before training, renewed during it."""
