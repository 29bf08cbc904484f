"""Small inputs for the tests of the index on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors

# publishing flushes a dozen times; tests that publish hundreds of times use memory where the system lets them
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def vectors(seed: int, n: int, n_terms: int = 60, mean: float = 8.0) -> SparseVectors:
    """Random rows with few distinct weights (quarters, exact in float16), so that many scores tie."""
    rng = np.random.default_rng(seed)
    rows = [np.unique(rng.integers(0, n_terms, rng.poisson(mean))) for _ in range(n)]
    ptr = np.concatenate(([0], np.cumsum([len(r) for r in rows]))).astype(np.int64)
    terms = np.concatenate([*rows, np.zeros(0, int)]).astype(np.int32)
    weights = (rng.integers(1, 9, len(terms)) / 4).astype(np.float32)
    return SparseVectors(ptr, terms, weights, n_terms)


def payload(n: int, start: int = 0) -> pa.Table:
    """A title, a year that is sometimes missing, a flag, a grade and tags."""
    rows = range(start, start + n)
    return pa.table(
        {
            "title": [f"title {i} é" for i in rows],
            "year": pa.array([None if i % 7 == 3 else 1980 + i % 50 for i in rows], pa.int64()),
            "open": [i % 3 == 0 for i in rows],
            "grade": [i / 8 for i in rows],
            "tags": pa.array([["even"] if i % 2 == 0 else ["odd", "x"] for i in rows], pa.list_(pa.string())),
        }
    )


def index(folder: Path, n: int = 40, seed: int = 1) -> SparseIndex:
    """An index of `n` documents with payload and an encoder fingerprint."""
    return SparseIndex.build(
        folder, vectors(seed, n), payload=payload(n), encoder={"name": "none", "max_length": 3}, threads=1
    )


def changed_index(folder: Path) -> SparseIndex:
    """An index with two segments, tombstones in both, and all kinds of files."""
    ix = index(folder, 60)
    ix.add(vectors(2, 20), [f"n{i}" for i in range(20)], payload=payload(20, 60))
    ix.delete(["3", "17", "n4"])
    assert ix.info().n_segments == 2
    return ix


def answers(
    ix: SparseIndex, queries: SparseVectors, k: int = 10
) -> tuple[list[list[str]], list[list[float]]]:
    """Ids and scores of an exact search, comparable with ==."""
    found = ix.search(queries, k, exact=True)
    return found.ids, found.scores.tolist()
