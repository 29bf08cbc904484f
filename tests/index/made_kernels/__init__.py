"""Arguments for every kernel, made from a seed: a module for each module of kernels, a function for each.

Each function is named like its kernel and takes a `Made` (segment.py).
"""
