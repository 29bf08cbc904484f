"""Arguments of kernels/heap.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import heap


def key_of(m):
    return {"score": np.float32(m.rng.integers(1, 9) / 4), "doc": int(m.rng.choice([0, 7, 2**32 - 2]))}


def score_of(m):
    return {"key": np.uint64(heap.key_of(**key_of(m)))}


def doc_of(m):
    return score_of(m)


def sift_down(m):
    m.filled_heap(m.k)
    worst = int(m.scratch.best[0]) >> 32
    return {"best": m.scratch.best, "size": m.k, "key": np.uint64((worst + m.rng.integers(1, 9)) << 32)}


def push(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_heap(size)
    key = heap.key_of(m.rng.integers(1, 9), m.rng.integers(1000, 2000))
    return {"best": m.scratch.best, "k": m.k, "size": size, "key": np.uint64(key)}


def write_ranking(m):
    size = int(m.rng.integers(0, m.k + 1))
    m.filled_heap(size)
    return {"best": m.scratch.best, "size": size, "hits": m.hits, "q": 1}
