"""Arguments of kernels/heap.py."""

from __future__ import annotations

import numpy as np


def worse(m):
    scores = m.rng.integers(1, 3, 2).astype(np.float32)
    docs = m.rng.permutation(4)[:2].tolist()
    return {"score": scores[0], "doc": docs[0], "than_score": scores[1], "than_doc": docs[1]}


def sift_down(m):
    m.filled_row(1, m.k)
    worst = m.hits.scores[1, 0]
    return {
        "hits": m.hits,
        "q": 1,
        "size": m.k,
        "score": np.float32(worst + m.rng.integers(1, 5)),
        "doc": 2000,
    }


def push(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_row(1, size)
    score = np.float32(m.rng.integers(1, 9))
    return {"hits": m.hits, "q": 1, "size": size, "score": score, "doc": int(m.rng.integers(1000, 2000))}


def sort_best_first(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_row(1, size)
    return {"hits": m.hits, "q": 1, "size": size}
