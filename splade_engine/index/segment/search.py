"""Searching one segment: from a batch of query vectors to ranked ordinals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import DEFAULT_BUDGET, Exact, Work
from splade_engine.index.kernels.search import search_queries
from splade_engine.index.segment.layout import N_LEVELS, WINDOW
from splade_engine.index.segment.row_kinds import Arrays
from splade_engine.index.segment.rows import Rows
from splade_engine.vectors import SparseVectors

# A call of the kernel with its 43 arguments holds the interpreter for 20 us. One thread makes one call;
# several take what is left in ever smaller parts, within these bounds, so that they end together
_MOST_AT_ONCE, _LEAST_AT_ONCE = 128, 8
_TABLE_TERMS = 1 << 22  # vocabularies up to this size get a table of term numbers (16 MiB at most)


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


class _Scratch:
    """What a thread needs to search: clean before and after every query."""

    def __init__(self, n_terms: int, n_docs: int, query_terms: int, n_candidates: int) -> None:
        self.query_terms, self.n_candidates = query_terms, n_candidates
        self.table = np.zeros(n_terms, np.float32)
        self.lists, self.multipliers, self.lowest, self.ends = np.empty((4, query_terms), np.int64)
        self.active = np.empty(2 * query_terms, np.int64)
        self.factors, self.priorities = np.empty((2, query_terms), np.float64)
        self.histogram = np.empty(512, np.float64)
        self.bounds = np.zeros(min(WINDOW, -(-n_docs // 64) * 64), np.uint16)
        room = 4 * n_candidates + 1024 + WINDOW  # a window can add each of its documents once
        self.slots = np.empty(room, np.int64)
        self.values, self.work = np.empty((2, room), np.uint16)


def shares(n_queries: int, threads: int) -> list[tuple[int, int]]:
    """(first, last) of the parts in which several threads take a batch of queries."""
    if threads == 1:
        return [(0, n_queries)]
    parts, first = [], 0
    while first < n_queries:
        size = max((n_queries - first) // (2 * threads), _LEAST_AT_ONCE)
        last = min(first + min(size, _MOST_AT_ONCE), n_queries)
        parts.append((first, last))
        first = last
    return parts


def _together(work: Callable[[], None], threads: int) -> None:
    """Call `work` in so many threads, this one among them (kernels release the interpreter).

    `build.each`, where this one only waits, starts a thread more: two threads on 463 short queries (20 ms)
    reached .87 to .99 of linear with it, median .93, and .96 to 1.01 with this.
    """
    if threads == 1:
        return work()
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()


class SegmentSearcher:
    """Searches the arrays of one segment, which must have passed `check_structure`."""

    def __init__(self, arrays: Arrays, *, n_docs: int, n_terms: int, nnz: int) -> None:
        self.n_docs, self.n_terms, self.nnz = n_docs, n_terms, nnz
        self._ids = np.asarray(arrays["term_ids"])
        names = ("list_offsets", "list_scales", "list_levels", "list_docs", "list_codes")
        self._lists = [np.asarray(arrays[name]) for name in names]
        self._rows = Rows(arrays)
        self._number_of = np.zeros(0, np.int32)
        if n_terms <= _TABLE_TERMS:
            self._number_of = np.full(n_terms, -1, np.int32)
            self._number_of[self._ids] = np.arange(len(self._ids), dtype=np.int32)
        self._free: list[_Scratch] = []
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
        mask = np.zeros(0, np.uint8) if allowed is None else np.ascontiguousarray(allowed).view(np.uint8)
        n_allowed = self.n_docs if allowed is None else int(np.count_nonzero(allowed))
        exact = isinstance(work, Exact)
        limits = DEFAULT_BUDGET if isinstance(work, Exact) else work
        n_candidates = min(max(limits.n_candidates, k), self.n_docs)
        budget = min(limits.max_postings, self.nnz)
        longest = int(queries.row_nnz.max())
        call = search_queries[self._rows.variant]

        parts = shares(len(queries), threads)
        left = iter(parts)

        def search_parts() -> None:
            scratch = self._take_scratch(longest, n_candidates)
            for first, last in left:
                call(
                    *(first, last, exact, budget, n_candidates),
                    *(queries.indptr, queries.terms, queries.weights),
                    *(self._number_of, self._ids, WINDOW, N_LEVELS, *self._lists),
                    *(*self._rows.arguments, mask, n_allowed),
                    *(scratch.table, scratch.lists, scratch.factors, scratch.priorities, scratch.multipliers),
                    *(scratch.active, scratch.lowest, scratch.ends, scratch.histogram, scratch.bounds),
                    *(scratch.slots, scratch.values, scratch.work, docs, values, scored),
                )
            with self._lock:
                self._free.append(scratch)

        _together(search_parts, min(threads, len(parts)))
        if wanted != k:
            ordinals[:, :wanted], scores[:, :wanted] = docs, values
        return SegmentHits(ordinals, scores, scored)

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
        return SparseVectors(ptr, self._ids[numbers].astype(np.int32), weights, self.n_terms)

    def _check(self, queries: SparseVectors, k: int, threads: int, allowed: NDArray[np.bool_] | None) -> None:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise InvalidInputError(f"k must be an integer of at least 1, got {k!r}")
        if threads < 1:
            raise InvalidInputError(f"threads must be at least 1, got {threads}")
        if queries.n_terms != self.n_terms:
            raise InvalidInputError(f"queries over {queries.n_terms} terms, but the index has {self.n_terms}")
        if allowed is not None and (allowed.shape != (self.n_docs,) or allowed.dtype != np.bool_):
            raise InvalidInputError(
                f"allowed must be bool[{self.n_docs}], got {allowed.dtype}{list(allowed.shape)}"
            )

    def _take_scratch(self, query_terms: int, n_candidates: int) -> _Scratch:
        with self._lock:
            for i, scratch in enumerate(self._free):
                if scratch.query_terms >= query_terms and scratch.n_candidates >= n_candidates:
                    del self._free[i]
                    return scratch
            self._free.clear()  # too small for what is asked now
        return _Scratch(len(self._ids), self.n_docs, max(query_terms, 64), n_candidates)
