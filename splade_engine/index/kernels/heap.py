"""The k best hits so far: a heap with the worst at its root; of equal scores the larger ordinal is worse."""

from __future__ import annotations

from splade_engine.index.kernels.dtypes import b1, f4, i8
from splade_engine.index.kernels.groups import Hits
from splade_engine.index.kernels.jit import helper


@helper
def worse(score: f4, doc: i8, than_score: f4, than_doc: i8) -> b1:
    """Whether a hit ranks below another one."""
    return bool(score < than_score or (score == than_score and doc > than_doc))


@helper
def sift_down(hits: Hits, q: i8, size: i8, score: f4, doc: i8) -> None:
    """Put (score, doc) in place of the root of row q, a heap of `size` entries."""
    scores, docs = hits.scores, hits.docs
    i = 0
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


@helper
def push(hits: Hits, q: i8, size: i8, score: f4, doc: i8) -> i8:
    """Offer a hit to the heap in row q, which holds as many as the row is long; returns its new size."""
    scores, docs = hits.scores, hits.docs
    if size < scores.shape[1]:
        i = size
        while i > 0:
            parent = (i - 1) >> 1
            if not worse(score, doc, scores[q, parent], docs[q, parent]):
                break
            scores[q, i], docs[q, i] = scores[q, parent], docs[q, parent]
            i = parent
        scores[q, i], docs[q, i] = score, doc
        return size + 1
    if worse(scores[q, 0], docs[q, 0], score, doc):
        sift_down(hits, q=q, size=size, score=score, doc=doc)
    return size


@helper
def sort_best_first(hits: Hits, q: i8, size: i8) -> None:
    """Turn the heap in row q, of `size` entries, into a ranking in place."""
    scores, docs = hits.scores, hits.docs
    for last in range(size - 1, 0, -1):
        score, doc = scores[q, last], docs[q, last]
        scores[q, last], docs[q, last] = scores[q, 0], docs[q, 0]
        sift_down(hits, q=q, size=last, score=score, doc=doc)
