"""Twins of kernels/split.py."""

from __future__ import annotations

import numpy as np

from tests import oracle


def lowest_bit(word):
    return bin(int(word))[::-1].index("1")


def part_of_row(word, at, bit, stop):
    places = range(64 * at, 64 * at + 64)
    return sum(1 << i for i, place in enumerate(places) if bit <= place < stop and int(word) >> i & 1)


def split_rows(first, last, offsets, terms, n_blocks, lows, blocks):
    lows[:], blocks[:] = oracle.split(terms, offsets, n_blocks << 8 * lows.itemsize, 8 * lows.itemsize)


def row_terms(offsets, lows, blocks, n_blocks, d):
    """The whole term numbers of row d."""
    bits = np.unpackbits(blocks.view(np.uint8), bitorder="little")
    begin, end = int(offsets[d]), int(offsets[d + 1])
    places = np.flatnonzero(bits[begin + d * n_blocks : end + (d + 1) * n_blocks])
    upper = (places - np.arange(end - begin)) << 8 * lows.itemsize
    return upper | lows[begin:end].astype(int)


def join_rows(wanted, starts, offsets, lows, blocks, n_blocks, out):
    for d, start in zip(wanted.tolist(), starts.tolist(), strict=False):
        terms = row_terms(offsets, lows, blocks, n_blocks, d)
        out[start : start + len(terms)] = terms
