"""What a system found, beside the exact hits over the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors

CLOSE = 1e-5  # of the score: sums in another order differ by less


@dataclass(frozen=True)
class Comparison:
    """Counts over all queries."""

    queries: int
    # share of the true top k that was found
    recall: float
    # queries with the true documents, whatever the order of those whose scores are equal
    same_documents: int
    # queries with the same ids in the same order
    same_order: int


def compared(
    index: SparseIndex,
    queries: SparseVectors,
    query_ids: Sequence[str],
    found: Mapping[str, Sequence[str]],
    k: int,
) -> Comparison:
    """Compare the ids that were found for each query with an exact search."""
    truth = index.search(queries, min(k + 50, len(index)), exact=True)
    hits = wanted = same = ordered = 0
    for row, name in enumerate(query_ids):
        ids, scores = truth.ids[row], truth.scores[row].tolist()
        best = ids[:k]
        got = list(found.get(name, ()))
        # a document whose score is that of the last hit may stand in its place
        last = scores[len(best) - 1] if best else 0.0
        tied = {id for id, score in zip(ids, scores, strict=False) if abs(score - last) <= CLOSE * last}
        right = len(set(got) & set(best)) + len((set(got) - set(best)) & tied)
        hits += min(right, len(best))
        wanted += len(best)
        same += right == len(best) == len(got)
        ordered += got == best
    return Comparison(len(query_ids), hits / wanted if wanted else 1.0, same, ordered)
