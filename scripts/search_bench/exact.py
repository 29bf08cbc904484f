"""The exact peers: no index of their own on disk, nothing to choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from search_bench.documents import Documents
from search_bench.engine import Setting, in_memory, one_by_one
from splade_engine.vectors import SparseVectors


@numba.njit(nogil=True)
def add(terms, weights, starts, places, values, scores) -> None:  # noqa: ANN001
    """Scores of one query: every list of its terms added up."""
    scores[:] = 0
    for i in range(len(terms)):
        weight = weights[i]
        for j in range(np.uint64(starts[terms[i]]), np.uint64(starts[terms[i] + 1])):
            scores[np.uint64(places[j])] += weight * values[j]


def best_of(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Ordinals of the k largest scores, best first."""
    best = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
    return best[np.argsort(-scores[best], kind="stable")]


class TermAtATime:
    """Every list of the query added up in one float32 array (bm25s's way), then the k largest."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.queries, self.k, self.scored = queries, k, float("nan")
        vectors = docs()

        def make() -> int:
            matrix = vectors.to_scipy().tocsc()
            self.lists = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data)
            return sum(a.nbytes for a in self.lists)

        self.built, self.n_docs = in_memory(make), len(vectors)

    def one(self, i: int) -> NDArray[np.int64]:
        """The best k of query i."""
        scores = np.empty(self.n_docs, np.float32)
        add(*self.queries.row(i), *self.lists, scores)
        return best_of(scores, self.k)

    def settings(self) -> Iterator[Setting]:
        """Exact, nothing to choose."""
        yield Setting("exact", one_by_one(self.one, len(self.queries), self.k), self.one)


class Scipy:
    """scipy's product of the documents, by term, and one query."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.queries, self.k, self.scored = queries, k, float("nan")
        vectors = docs()

        def make() -> int:
            self.matrix: Any = vectors.to_scipy().tocsc()
            return int(self.matrix.data.nbytes + self.matrix.indices.nbytes + self.matrix.indptr.nbytes)

        self.built = in_memory(make)

    def one(self, i: int) -> NDArray[np.int64]:
        """The best k of query i."""
        terms, weights = self.queries.row(i)
        return best_of(self.matrix[:, terms] @ weights, self.k)

    def settings(self) -> Iterator[Setting]:
        """Exact, nothing to choose."""
        yield Setting("exact", one_by_one(self.one, len(self.queries), self.k), self.one)
