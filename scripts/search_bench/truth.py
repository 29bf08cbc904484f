"""The exact answers, by float32 brute force, and how much of them was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from search_bench.engine import Ordinals, padded
from splade_engine.files import digest_64
from splade_engine.vectors import SparseVectors

TRUTH_DOCS = 500_000  # documents scored at a time: bounds the memory of a column matrix


def truth_of(docs: SparseVectors, queries: SparseVectors, k: int) -> Ordinals:
    """Ordinals of the exact top k, int64[nq, k]; ties by ordinal, -1 where fewer score above 0."""
    asked, n = queries.to_scipy(), len(queries)
    best = [np.zeros(0, np.int64) for _ in range(n)]
    values = [np.zeros(0, np.float32) for _ in range(n)]
    for first in range(0, len(docs), TRUTH_DOCS):
        matrix = docs[first : first + TRUTH_DOCS].to_scipy().tocsc()
        for i in range(n):
            scores = np.zeros(matrix.shape[0], np.float32)
            row = asked[[i]]
            for term, weight in zip(row.indices, row.data, strict=True):
                a, b = matrix.indptr[term], matrix.indptr[term + 1]
                scores[matrix.indices[a:b]] += weight * matrix.data[a:b]
            top = np.argpartition(-scores, min(2 * k, len(scores) - 1))[: 2 * k]
            top = top[scores[top] > 0]
            found, amounts = np.concatenate((best[i], top + first)), np.concatenate((values[i], scores[top]))
            order = np.lexsort((found, -amounts))[:k]
            best[i], values[i] = found[order], amounts[order]
    return padded(best, k)


def digest_of(vectors: SparseVectors) -> str:
    """Eight characters that tell vectors apart: by how many terms rows have, and what the first rows hold."""
    first = vectors[:1000]
    parts = (vectors.indptr, first.terms, first.weights)
    return f"{digest_64(b''.join(part.tobytes() for part in parts)):016x}"[:8]


def kept_truth(docs: Callable[[], SparseVectors], queries: SparseVectors, k: int, kept: Path) -> Ordinals:
    """The truth, kept in a file between runs."""
    if not kept.exists():
        np.save(kept, truth_of(docs(), queries, k))
    found: Ordinals = np.load(kept)
    return found


def recall(found: Ordinals, truth: Ordinals) -> float:
    """Share of the true hits among those found."""
    hits = sum(len(np.intersect1d(f[f >= 0], t[t >= 0])) for f, t in zip(found, truth, strict=True))
    return hits / max(1, int((truth >= 0).sum()))
