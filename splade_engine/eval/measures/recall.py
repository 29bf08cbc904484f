"""Recall of approximate search against exact search: is it the model or the index?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.eval.run.results import RecallPoint

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.sparse_collection import SparseCollection

DEPTH = 10
# (postings walked, documents scored in full) from fast to thorough; the third is the index's default
CURVE = ((3_000, 50), (10_000, 100), (30_000, 150), (100_000, 300), (300_000, 600), (1_000_000, 1500))
_CURVE_QUERIES = 1000


def recall(exact: Sequence[NDArray[np.int64]], found: Sequence[NDArray[np.int64]], depth: int) -> float:
    """Mean share of the exact top `depth` in the found top `depth`, over queries with exact hits."""
    shares = [
        len(np.intersect1d(e[:depth], f[:depth])) / len(e[:depth])
        for e, f in zip(exact, found, strict=True)
        if len(e)
    ]
    return float(np.mean(shares)) if shares else 1.0


def exact_tops(collection: SparseCollection, split: Split, k: int) -> list[NDArray[np.int64]]:
    """Ordinals of the exact top k of every query of a split."""
    result = collection.index.search(collection.query_vectors(split), k=k, exact=True)
    return [row[row >= 0] for row in result.ordinals]


def curve(collection: SparseCollection, split: Split) -> tuple[RecallPoint, ...]:
    """Recall@10 and search time from fast to thorough settings, for at most 1,000 queries.

    Ends with the first setting that finds everything: those after it only cost more.
    """
    from splade_engine.index.config import SearchConfig

    vectors = collection.query_vectors(split)[:_CURVE_QUERIES]
    exact = exact_tops(collection, split, DEPTH)[: len(vectors)]
    points: list[RecallPoint] = []
    for max_postings, n_candidates in CURVE:
        config = SearchConfig(max_postings=max_postings, n_candidates=n_candidates)
        hits = [collection.search(vectors[i], DEPTH, config=config) for i in range(len(vectors))]
        points.append(
            RecallPoint(
                label=f"{max_postings:,} postings, {n_candidates:,} documents",
                recall=recall(exact, [h.ordinals for h in hits], DEPTH),
                search_p50_ms=float(np.median([h.search_seconds for h in hits]) * 1e3),
                docs_scored=float(np.mean([h.docs_scored for h in hits])),
            )
        )
        if points[-1].recall == 1.0:
            break
    return tuple(points)
