"""The k best hits so far: a binary heap with the worst at its root; among equal scores the larger ordinal is worse."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined


@inlined
def worse(score_a: Any, doc_a: Any, score_b: Any, doc_b: Any) -> Any:
    """Whether hit a ranks below hit b."""
    return score_a < score_b or (score_a == score_b and doc_a > doc_b)


@inlined
def sift_down(scores: Any, docs: Any, size: Any, score: Any, doc: Any) -> None:
    """Put (score, doc) in place of the root of a heap of `size` entries."""
    i = np.int64(0)
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and worse(scores[child + 1], docs[child + 1], scores[child], docs[child]):
            child += 1
        if not worse(scores[child], docs[child], score, doc):
            break
        scores[i], docs[i] = scores[child], docs[child]
        i = child
    scores[i], docs[i] = score, doc


@inlined
def push(scores: Any, docs: Any, size: Any, score: Any, doc: Any) -> Any:
    """Offer a hit to a heap that holds at most `len(scores)`; returns the new size."""
    if size < len(scores):
        i = size
        while i > 0:
            parent = (i - 1) >> 1
            if not worse(score, doc, scores[parent], docs[parent]):
                break
            scores[i], docs[i] = scores[parent], docs[parent]
            i = parent
        scores[i], docs[i] = score, doc
        return size + 1
    if worse(scores[0], docs[0], score, doc):
        sift_down(scores, docs, size, score, doc)
    return size


@inlined
def sort_best_first(scores: Any, docs: Any, size: Any) -> None:
    """Turn the heap into a ranking in place."""
    for last in range(size - 1, 0, -1):
        score, doc = scores[last], docs[last]
        scores[last], docs[last] = scores[0], docs[0]
        sift_down(scores, docs, last, score, doc)
