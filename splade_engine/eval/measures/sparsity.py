"""Sparsity of document and query vectors: terms, FLOPS, histograms, gathered batch by batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from splade_engine.eval.run.results import Sparsity
from splade_engine.vectors import SparseVectors

_BINS = 40


class TermCounts:
    """How often each term occurs, and how many terms the vectors have."""

    def __init__(self, n_terms: int) -> None:
        self.df: NDArray[np.int64] = np.zeros(n_terms, dtype=np.int64)
        self.lengths: list[NDArray[np.int64]] = []

    @classmethod
    def of(cls, batches: Iterable[SparseVectors], n_terms: int) -> TermCounts:
        """Counts of all batches."""
        counts = cls(n_terms)
        for batch in batches:
            counts.df += np.bincount(batch.terms, minlength=n_terms)
            counts.lengths.append(batch.row_nnz)
        return counts

    @property
    def n(self) -> int:
        """Number of vectors."""
        return sum(map(len, self.lengths))

    def row_lengths(self) -> NDArray[np.int64]:
        """int64[n]: terms of each vector."""
        return np.concatenate(self.lengths) if self.lengths else np.zeros(0, np.int64)


def sparsity(documents: TermCounts, queries: TermCounts) -> Sparsity:
    """Means, FLOPS = sum_t p_t(query) * p_t(document), and histograms."""
    n_docs, n_queries = max(documents.n, 1), max(queries.n, 1)
    return Sparsity(
        terms_per_document=float(documents.df.sum() / n_docs),
        terms_per_query=float(queries.df.sum() / n_queries),
        flops=float((documents.df / n_docs) @ (queries.df / n_queries)),
        document_histogram=_histogram(documents.row_lengths()),
        query_histogram=_histogram(queries.row_lengths()),
    )


def _histogram(lengths: NDArray[np.int64]) -> dict[int, int]:
    """At most 40 bins of equal whole width; {lower edge: count}, empty bins in between kept."""
    if not len(lengths):
        return {}
    low, high = int(lengths.min()), int(lengths.max())
    width = max(1, -(-(high - low + 1) // _BINS))
    counts = np.bincount((lengths - low) // width)
    return {low + i * width: int(count) for i, count in enumerate(counts)}
