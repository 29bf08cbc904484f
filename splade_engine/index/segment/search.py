"""Searching one segment: from a batch of query vectors to ranked ordinals."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import DEFAULT_BUDGET, Exact, Work
from splade_engine.index.kernels.groups import Allowed, Hits, Limits, Queries
from splade_engine.index.segment.arrays import Arrays
from splade_engine.index.segment.list_kinds import stored_lists
from splade_engine.index.segment.miss import Miss
from splade_engine.index.segment.rows import Rows
from splade_engine.index.segment.threads import query_parts, run_in_threads
from splade_engine.vectors import SparseVectors


@dataclass(frozen=True)
class SegmentHits:
    """The hits of a batch of queries, best first.

    Attributes:
        ordinals: int64[nq, k], -1 where there are fewer hits.
        scores: float32[nq, k], -inf where there are fewer hits.
        docs_scored: int64[nq], documents whose full dot product was computed.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    docs_scored: NDArray[np.int64]


def _batch(queries: SparseVectors) -> Queries:
    return Queries(offsets=queries.indptr, terms=queries.terms, weights=queries.weights)


@dataclass(frozen=True)
class _Workplace:
    """What a thread needs to search, for so many query terms and candidates."""

    query_terms: int
    n_candidates: int
    scratch: Any


class SegmentSearcher:
    """Searches the arrays of one segment, which must have passed `check_structure`."""

    def __init__(self, arrays: Arrays, *, n_docs: int, n_terms: int, nnz: int) -> None:
        self.n_docs, self.n_terms, self.nnz = n_docs, n_terms, nnz
        self._ids = np.asarray(arrays["term_ids"])
        self._lists = stored_lists(arrays).opened(arrays, n_docs, n_terms)
        self._rows = Rows(arrays)
        self._all = Allowed(mask=np.zeros(0, np.uint8), total=n_docs)
        self._free: list[_Workplace] = []
        self._lock = threading.Lock()

    def search(
        self,
        queries: SparseVectors,
        k: int,
        work: Work,
        *,
        threads: int = 1,
        allowed: NDArray[np.bool_] | None = None,
    ) -> SegmentHits:
        """The best `k` documents of each query, ties broken by the smaller ordinal.

        Args:
            queries: over the same vocabulary as the documents.
            k: hits wanted per query; a query with fewer documents of score > 0 gets fewer.
            work: exact, or how much.
            threads: queries are spread over them; the result does not depend on it.
            allowed: bool[n_docs]; documents where it is False are never returned nor scored.

        Raises:
            InvalidInputError: if k < 1, threads < 1, or a shape does not fit the segment.
        """
        self._check(queries, k, threads, allowed)
        ordinals = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        scored = np.zeros(len(queries), np.int64)
        if self.n_docs == 0 or len(queries) == 0:
            return SegmentHits(ordinals, scores, scored)
        wanted = min(k, self.n_docs)
        docs = ordinals if wanted == k else np.full((len(queries), wanted), -1, np.int64)
        values = scores if wanted == k else np.full((len(queries), wanted), -np.inf, np.float32)
        longest = int(queries.row_nnz.max())
        batch, limits, may = _batch(queries), self._limits(k, work), self._allowed(allowed)
        hits = Hits(docs=docs, scores=values, scored=scored)

        parts = query_parts(len(queries), threads)
        left = iter(parts)

        def search_parts() -> None:
            place = self._take_place(longest, limits.candidates)
            for first, last in left:
                self._lists.search(first, last, limits, batch, self._rows, may, place.scratch, hits)
            with self._lock:
                self._free.append(place)

        run_in_threads(search_parts, min(threads, len(parts)))
        if wanted != k:
            ordinals[:, :wanted], scores[:, :wanted] = docs, values
        return SegmentHits(ordinals, scores, scored)

    def miss(
        self, query: SparseVectors, k: int, work: Work, ordinal: int, *, allowed: NDArray[np.bool_] | None
    ) -> Miss | None:
        """Why a search for one query did not score a document; None where it did."""
        if isinstance(work, Exact):
            return None
        _, held, _ = self._rows.read(np.array([ordinal]))
        batch, limits, may = _batch(query), self._limits(k, work), self._allowed(allowed)
        return self._lists.miss(batch, limits, may, ordinal, frozenset(held.tolist()))

    def vectors(self, ordinals: ArrayLike) -> SparseVectors:
        """The stored vectors of documents, in the order asked for.

        Raises:
            InvalidInputError: if an ordinal is not that of a document.
        """
        wanted = np.asarray(ordinals)
        wanted = wanted.astype(np.int64) if wanted.size == 0 else wanted
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise InvalidInputError("ordinals must be one-dimensional integers")
        outside = (wanted < 0) | (wanted >= self.n_docs)
        if outside.any():
            raise InvalidInputError(
                f"ordinal {wanted[int(np.argmax(outside))]}: the segment has {self.n_docs} documents"
            )
        ptr, numbers, weights = self._rows.read(wanted.astype(np.int64, copy=False))
        return SparseVectors.adopt(ptr, self._ids[numbers].astype(np.int32), weights, self.n_terms)

    def _limits(self, k: int, work: Work) -> Limits:
        budget = DEFAULT_BUDGET if isinstance(work, Exact) else work
        return Limits(
            exact=isinstance(work, Exact),
            postings=min(budget.max_postings, self.nnz),
            candidates=min(max(budget.n_candidates, k), self.n_docs),
        )

    def _allowed(self, allowed: NDArray[np.bool_] | None) -> Allowed:
        if allowed is None:
            return self._all
        mask = np.ascontiguousarray(allowed).view(np.uint8)
        return Allowed(mask=mask, total=int(np.count_nonzero(allowed)))

    def _check(self, queries: SparseVectors, k: int, threads: int, allowed: NDArray[np.bool_] | None) -> None:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise InvalidInputError(f"k must be an integer of at least 1, got {shown(k)}")
        if threads < 1:
            raise InvalidInputError(f"threads must be at least 1, got {threads}")
        if queries.n_terms != self.n_terms:
            raise InvalidInputError(f"queries over {queries.n_terms} terms, but the index has {self.n_terms}")
        if allowed is not None and (allowed.shape != (self.n_docs,) or allowed.dtype != np.bool_):
            raise InvalidInputError(
                f"allowed must be bool[{self.n_docs}], got {allowed.dtype}{list(allowed.shape)}"
            )

    def _take_place(self, query_terms: int, n_candidates: int) -> _Workplace:
        with self._lock:
            for i, place in enumerate(self._free):
                if place.query_terms >= query_terms and place.n_candidates >= n_candidates:
                    del self._free[i]
                    return place
            self._free.clear()  # too small for what is asked now
        room = max(query_terms, 64)
        return _Workplace(room, n_candidates, self._lists.scratch(room, n_candidates))
