"""Searching one segment: from a batch of query vectors to ranked ordinals."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import SearchConfig
from splade_engine.index.kernels.search import search_queries
from splade_engine.index.layout import WINDOW, Arrays, forward_terms, forward_weights
from splade_engine.vectors import SparseVectors

_BATCH = 16  # queries that a thread takes at a time


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


@dataclass(frozen=True)
class _Queries:
    """A batch in the segment's term numbers; terms that no document has are left out."""

    offsets: NDArray[np.int64]
    terms: NDArray[np.uint32]
    weights: NDArray[np.float32]
    factors: NDArray[np.float32]
    order: NDArray[np.int64]


class _Scratch:
    """What a thread needs to search: clean before and after every query."""

    def __init__(self, n_terms: int, n_docs: int, n_candidates: int) -> None:
        self.table = np.zeros(n_terms, np.float32)
        self.bounds = np.zeros(min(WINDOW, n_docs), np.float32)
        size = n_candidates + 2 * WINDOW
        self.slots = np.empty(size, np.int64)
        self.values = np.empty(size, np.float32)
        self.pivots = np.empty(size, np.float32)


class SegmentSearcher:
    """Searches the arrays of one segment, which must have passed `check_structure`."""

    def __init__(self, arrays: Arrays, *, n_docs: int, n_terms: int, nnz: int) -> None:
        self.n_docs, self.n_terms, self.nnz = n_docs, n_terms, nnz
        self._ids = np.ascontiguousarray(arrays["term_ids"])
        self._scales = np.ascontiguousarray(arrays["list_scales"])
        self._lists = [np.asarray(arrays[name]) for name in ("list_offsets", "list_docs", "list_codes")]
        self._offsets = np.asarray(arrays["doc_offsets"])
        self._terms = np.asarray(forward_terms(arrays))
        self._weights = np.asarray(forward_weights(arrays))
        self._bits = self._weights.view(np.uint16) if self._weights.dtype == np.float16 else self._weights
        self._free: list[tuple[int, _Scratch]] = []
        self._lock = threading.Lock()

    def search(
        self,
        queries: SparseVectors,
        k: int,
        config: SearchConfig,
        *,
        threads: int = 1,
        allowed: NDArray[np.bool_] | None = None,
    ) -> SegmentHits:
        """The best `k` documents of each query, ties broken by the smaller ordinal.

        Args:
            queries: over the same vocabulary as the documents.
            k: hits wanted per query; a query with fewer documents of score > 0 gets fewer.
            config: exact, or how much work.
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
        batch = self._translate(queries)
        mask = np.zeros(0, np.uint8) if allowed is None else np.ascontiguousarray(allowed).view(np.uint8)
        n_candidates = min(max(config.n_candidates, k), self.n_docs)

        def work(first: int) -> None:
            last = min(first + _BATCH, len(queries))
            scratch = self._take_scratch(n_candidates)
            search_queries(
                *(first, last, config.exact, config.query_cut, n_candidates),
                *(batch.offsets, batch.terms, batch.weights, batch.factors, batch.order),
                *(WINDOW, *self._lists, self._offsets, self._terms, self._bits, mask),
                *(scratch.table, scratch.bounds, scratch.slots, scratch.values, scratch.pivots),
                *(docs, values, scored),
            )
            with self._lock:
                self._free.append((n_candidates, scratch))

        starts = range(0, len(queries), _BATCH)
        if threads == 1 or len(starts) == 1:
            for start in starts:
                work(start)
        else:
            search_queries.compile()
            with ThreadPoolExecutor(min(threads, len(starts))) as pool:
                list(pool.map(work, starts))
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
        lengths = self._offsets[wanted + 1] - self._offsets[wanted]
        ptr = np.concatenate(([0], np.cumsum(lengths)))
        entry = np.repeat(self._offsets[wanted] - ptr[:-1], lengths) + np.arange(ptr[-1])
        terms = self._ids[self._terms[entry]].astype(np.int32)
        return SparseVectors(ptr, terms, self._weights[entry].astype(np.float32), self.n_terms)

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

    def _translate(self, queries: SparseVectors) -> _Queries:
        ids = queries.terms.astype(np.uint32)
        place = np.searchsorted(self._ids, ids)
        known = np.zeros(len(ids), bool)
        inside = place < len(self._ids)
        known[inside] = self._ids[place[inside]] == ids[inside]
        offsets = np.concatenate(([0], np.cumsum(known)))[queries.indptr]
        terms = place[known].astype(np.uint32)
        weights = np.ascontiguousarray(queries.weights[known])
        with np.errstate(over="ignore"):
            factors = weights * self._scales[terms]
        rows = np.repeat(np.arange(len(queries)), np.diff(offsets))
        order = np.lexsort((-factors, rows)).astype(np.int64)
        return _Queries(offsets, terms, weights, factors, order)

    def _take_scratch(self, n_candidates: int) -> _Scratch:
        with self._lock:
            for i, (size, scratch) in enumerate(self._free):
                if size >= n_candidates:
                    del self._free[i]
                    return scratch
        return _Scratch(len(self._ids), self.n_docs, n_candidates)
