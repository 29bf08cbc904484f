"""Arguments of kernels/sieve.py."""

from __future__ import annotations

import numpy as np


def _sieve(m):
    return m.rng.integers(0, 65536, 64).astype(np.uint16) & m.rng.integers(0, 65536, 64).astype(np.uint16)


def add_to_sieve(m):
    return {"sieve": _sieve(m), "term": int(m.rng.integers(0, 70_000))}


def can_sift(m):
    return {"terms": m.rows.terms, "blocks": m.rows.blocks}


def sift(m):
    terms = m.rng.integers(0, 65536, 150).astype(np.uint16)
    return {"terms": terms, "at": int(m.rng.integers(0, 87)), "sieve": _sieve(m)}
