"""Pairs of texts in, an encoder out."""
