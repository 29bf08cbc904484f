"""Twins of kernels/sieve.py: numbers that share their lower ten bits pass together."""

from __future__ import annotations

import numpy as np


def _passing(sieve):
    bits = (sieve[:, None] >> np.arange(16)) & 1
    return {word + 64 * bit for word, bit in zip(*np.nonzero(bits), strict=True)}


def add_to_sieve(sieve, term):
    sieve[term % 64] |= np.uint16(2 ** (term // 64 % 16))


def can_sift(terms, blocks):
    return terms.dtype == np.uint16 and blocks.dtype == np.uint8


def sift(terms, at, sieve):
    passing = _passing(sieve)
    return sum(2**i for i in range(64) if int(terms[at + i]) % 1024 in passing)
