"""Arguments of kernels/blocks.py."""

from __future__ import annotations

import numpy as np


def any_reaches(m):
    m.fill_bounds()
    return {"bounds": m.scratch.bounds, "at": 0, "threshold": np.uint16(m.rng.integers(1, 11))}


def clear(m):
    m.fill_bounds()
    return {"bounds": m.scratch.bounds, "at": 0}
