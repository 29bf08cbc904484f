"""Twins of the instructions in kernels/jit.py."""

from __future__ import annotations


def prefetch(array, index):
    """Nothing but time changes."""


def item_size(array):
    return array.nbytes // len(array)
