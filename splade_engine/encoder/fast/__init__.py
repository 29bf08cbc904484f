"""What a processor computes faster than transformers does: the same functions, arranged for speed."""
