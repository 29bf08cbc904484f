"""Twins of kernels/lanes.py."""

from __future__ import annotations

import numpy as np


def _added(codes, multiplier):
    return ((codes.astype(np.int64) * int(multiplier)) >> 8).astype(np.uint16)


def add_codes(sums, at, codes, begin, multiplier):
    sums[at : at + 64] += _added(codes[begin : begin + 64], multiplier)


def add_spread(sums, at, codes, begin, mask, multiplier):
    lanes = np.flatnonzero([int(mask) >> i & 1 for i in range(16)])
    sums[at + lanes] += _added(codes[begin : begin + len(lanes)], multiplier)


def which_reach(sums, at, threshold):
    return sum(1 << i for i in range(64) if sums[at + i] >= threshold)


def count_bits(word):
    return bin(int(word)).count("1")
