"""Arguments of kernels/lanes.py."""

from __future__ import annotations

import numpy as np


def _sums(m):
    return m.rng.integers(0, 500, 200).astype(np.uint16)


def _added(m):
    codes = m.rng.integers(0, 256, 200).astype(np.uint8)
    rest = {
        "codes": codes,
        "begin": int(m.rng.integers(0, 99)),
        "multiplier": np.uint16(m.rng.integers(65536)),
    }
    return {"sums": _sums(m), "at": int(m.rng.integers(0, 99))} | rest


def add_codes(m):
    return _added(m)


def add_spread(m):
    return _added(m) | {"mask": np.uint64(m.rng.integers(0, 1 << 62))}


def which_reach(m):
    threshold = np.uint16(m.rng.choice([0, 100, 400, 499, 65535]))
    return {"sums": _sums(m), "at": int(m.rng.integers(0, 99)), "threshold": threshold}


def count_bits(m):
    words = (0, 1, (1 << 64) - 1, int(m.rng.integers(0, 1 << 62)) * 3)
    return {"word": np.uint64(words[m.rng.integers(4)])}
