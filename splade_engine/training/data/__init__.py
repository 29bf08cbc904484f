"""Sources of training examples: read, mixed, collated."""
