"""Arguments of kernels/score.py."""

from __future__ import annotations

import numpy as np


def widen(m):
    scale = np.float32(0.0123)
    return {"weights": m.stored, "j": int(m.rng.integers(0, len(m.stored))), "scale": scale}


def scale_of(m):
    return {"d": int(m.rng.integers(0, m.n_docs)), "weights": m.stored, "scales": m.scales}


def score_row(m):
    m.load()
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs)), "table": m.scratch.table}


def prefetch_row(m):
    return {"rows": m.rows, "d": int(m.rng.integers(0, m.n_docs))}
