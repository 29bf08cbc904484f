"""Plain numpy twins of the kernels: slow, obvious, and what the fast ones are held against."""

from __future__ import annotations

import numpy as np

from splade_engine.vectors import SparseVectors


def stored(vectors: SparseVectors, dtype: type = np.float16) -> SparseVectors:
    """The vectors as a segment keeps them: weights rounded to the storage type, never to zero."""
    smallest = np.float32(np.finfo(dtype).smallest_subnormal)
    weights = np.maximum(vectors.weights, smallest).astype(dtype).astype(np.float32)
    return SparseVectors(vectors.indptr, vectors.terms, weights, vectors.n_terms)


def score(table: np.ndarray, terms: np.ndarray, weights: np.ndarray) -> np.float32:
    """Four interleaved float32 sums, (s0 + s1) + (s2 + s3), as kernels/score.py defines the score."""
    sums = np.zeros(4, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        for j, (term, weight) in enumerate(zip(terms, weights, strict=True)):
            sums[j % 4] += table[term] * np.float32(weight)
        total = (sums[0] + sums[1]) + (sums[2] + sums[3])
    return min(total, np.finfo(np.float32).max)


def all_scores(documents: SparseVectors, query: SparseVectors) -> np.ndarray:
    """float32[n_docs]: the score of every document for a batch of one query."""
    table = np.zeros(query.n_terms, np.float32)
    table[query.terms] = query.weights
    return np.array([score(table, t, w) for t, w in documents], np.float32).reshape(len(documents))


def rank(scores: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(ordinals, scores) of the best k: score descending, ordinal ascending, above zero; padded -1, -inf."""
    good = np.flatnonzero((scores > 0) & (True if allowed is None else allowed))
    best = good[np.lexsort((good, -scores[good]))][:k]
    ordinals, values = np.full(k, -1, np.int64), np.full(k, -np.inf, np.float32)
    ordinals[: len(best)], values[: len(best)] = best, scores[best]
    return ordinals, values


def exact(
    documents: SparseVectors, queries: SparseVectors, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Brute force over stored vectors: (ordinals int64[nq, k], scores float32[nq, k])."""
    pairs = [rank(all_scores(documents, queries[i]), k, allowed) for i in range(len(queries))]
    if not pairs:
        return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
