"""Arguments of kernels/weights.py."""

from __future__ import annotations

import numpy as np

from tests.index.made_kernels.build import span


def item_of(m):
    return {"weights": m.stored, "j": int(m.rng.integers(0, len(m.terms)))}


def are_codes(m):
    return {"weights": m.stored}


def widen(m):
    scale = np.float32(0.0123)
    return {"weights": m.stored, "j": int(m.rng.integers(0, len(m.terms))), "scale": scale}


def scale_of(m):
    return {"d": int(m.rng.integers(0, m.n_docs)), "weights": m.stored, "scales": m.scales}


def quantise_rows(m):
    weights = (10.0 ** m.rng.uniform(-30, 30) * m.rng.random(len(m.terms)) ** 9 + 1e-44).astype(np.float32)
    codes, scales = np.zeros(len(weights), np.uint8), np.zeros(m.n_docs, np.float32)
    return span(m) | {"weights": weights, "codes": codes, "scales": scales}
