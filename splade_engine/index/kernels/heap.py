"""The k best hits so far: a heap with the worst at its root; of equal scores the larger ordinal is worse."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined


@inlined
def worse(score_a: Any, doc_a: Any, score_b: Any, doc_b: Any) -> Any:
    """Whether hit a ranks below hit b."""
    return score_a < score_b or (score_a == score_b and doc_a > doc_b)


@inlined
def sift_down(scores: Any, docs: Any, q: Any, size: Any, score: Any, doc: Any) -> None:
    """Put (score, doc) in place of the root of row q, a heap of `size` entries."""
    i = np.int64(0)
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and worse(
            scores[q, child + 1], docs[q, child + 1], scores[q, child], docs[q, child]
        ):
            child += 1
        if not worse(scores[q, child], docs[q, child], score, doc):
            break
        scores[q, i], docs[q, i] = scores[q, child], docs[q, child]
        i = child
    scores[q, i], docs[q, i] = score, doc


@inlined
def push(scores: Any, docs: Any, q: Any, size: Any, score: Any, doc: Any) -> Any:
    """Offer a hit to the heap in row q, which holds as many as the row is long; returns its new size."""
    if size < scores.shape[1]:
        i = np.int64(size)
        while i > 0:
            parent = (i - 1) >> 1
            if not worse(score, doc, scores[q, parent], docs[q, parent]):
                break
            scores[q, i], docs[q, i] = scores[q, parent], docs[q, parent]
            i = parent
        scores[q, i], docs[q, i] = score, doc
        return size + 1
    if worse(scores[q, 0], docs[q, 0], score, doc):
        sift_down(scores, docs, q, size, score, doc)
    return size


@inlined
def sort_best_first(scores: Any, docs: Any, q: Any, size: Any) -> None:
    """Turn the heap in row q into a ranking in place."""
    for last in range(size - 1, 0, -1):
        score, doc = scores[q, last], docs[q, last]
        scores[q, last], docs[q, last] = scores[q, 0], docs[q, 0]
        sift_down(scores, docs, q, last, score, doc)
