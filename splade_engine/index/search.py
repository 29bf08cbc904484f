"""Searching all segments of a snapshot and merging their hits."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.files import digest
from splade_engine.index.effort import DEFAULT_BUDGET, EXACT, Budget, Effort, Exact, Recall, Work, stored_work
from splade_engine.index.measured_on import ADVICE
from splade_engine.index.segment.threads import map_threads
from splade_engine.index.snapshot import Snapshot
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.filter.nodes import Filter
    from splade_engine.index.filter.parse import Where
    from splade_engine.index.segment.search import SegmentHits
    from splade_engine.index.segment.segment import Segment

logger = logging.getLogger(__name__)

# Up to this many documents an index is searched exactly when nothing else is asked for: approximation is no
# faster there. Measured with queries of 8, 43 and 80 Zipfian terms, microseconds exact / approximate: 50,000
# documents 283/328, 254/262, 310/268; 100,000 documents 200/227, 498/192, 767/158.
EXACT_UP_TO = 60_000
MIN_POSTINGS = 2_000  # entries walked in a segment, however small its share of the index
KEPT_MASKS = 8  # filters whose answer is kept, one byte a document each: queries often ask the same
MAX_K = 1_000_000  # hits per query that may be asked of an index with fewer documents


@dataclass(frozen=True)
class SearchResult:
    """The best documents of each query, best first; equal scores are in the order of ordinals.

    Attributes:
        ordinals: int64[n_queries, k], -1 where a query has fewer hits.
        scores: float32[n_queries, k], -inf where a query has fewer hits.
        docs_scored: int64[n_queries], documents whose full score was computed.
        exact: whether the hits are the true top k over the stored weights.
        missing: folders of shards that did not answer, whose documents are not among the hits: only where
            that was asked for (`splade_engine.ray`).
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    docs_scored: NDArray[np.int64]
    exact: bool
    names: Callable[[NDArray[np.int64]], list[str]] = field(repr=False, compare=False)
    missing: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> list[list[str]]:
        """The ids of the hits of each query (only of hits: a row may be shorter than k)."""
        found = self.ordinals >= 0
        flat = self.names(self.ordinals[found])
        ends = np.cumsum(found.sum(axis=1)).tolist()
        return [flat[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def __getstate__(self) -> dict[str, object]:
        """A result that goes to another process takes its ids along, not the index."""
        return {**self.__dict__, "ids": self.ids, "names": None}

    def __len__(self) -> int:
        return len(self.ordinals)


@dataclass(frozen=True)
class Plan:
    """How an index is searched: the work, meant for one segment each, or (`shared`) for all together.

    Several indexes that are searched as one keep their own plans (`shards`): each reaches the recall that is
    asked for with what was measured on it, and so do all of them together.
    """

    work: Work
    shared: bool
    shards: tuple[Plan, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, k: int, effort: Effort) -> Plan:
        """What this effort means for a search of `k` documents in this index.

        Raises:
            InvalidInputError: if k is out of range.
        """
        check_k(k, int(snapshot.bases[-1]))
        return cls._of(snapshot, k, effort)

    @classmethod
    def _of(cls, snapshot: Snapshot, k: int, effort: Effort) -> Plan:
        if not isinstance(effort, Recall):
            return cls(effort, shared=False)
        if snapshot.shards:
            return cls(EXACT, False, tuple(cls._of(shard, k, effort) for shard in snapshot.shards))
        if effort.share == 1.0 or snapshot.bases[-1] <= EXACT_UP_TO:
            return cls(EXACT, shared=False)
        return cls(tuned_work(snapshot, k, effort.share), shared=True)

    def works(self, snapshot: Snapshot) -> list[Work]:
        """The work in each segment of the snapshot that the plan was made for."""
        if self.shards:
            pairs = zip(self.shards, snapshot.shards, strict=True)
            return [work for plan, shard in pairs for work in plan.works(shard)]
        all_docs = int(snapshot.bases[-1])
        return [self.for_segment(len(segment), all_docs) for segment in snapshot.segments]

    def for_segment(self, n_docs: int, all_docs: int) -> Work:
        """The work in a segment of `n_docs` documents of an index of `all_docs`.

        Shared entries to walk are dealt out by size, so that an index in several segments costs less than as
        many times the same index in one.
        """
        if not self.shared or isinstance(self.work, Exact) or n_docs == all_docs:
            return self.work
        postings = max(MIN_POSTINGS, self.work.max_postings * n_docs // all_docs)
        return replace(self.work, max_postings=min(postings, self.work.max_postings))


def check_k(k: int, n_docs: int) -> None:
    """Refuse a k that cannot be answered.

    Raises:
        InvalidInputError: for a k that is no integer, below 1, or too large to make an answer of that width.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise InvalidInputError(f"k must be an integer, got {shown(k)}")
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, got {shown(k)}")
    if k > max(MAX_K, n_docs):
        raise InvalidInputError(f"k must be at most {max(MAX_K, n_docs)}, got {shown(k)}")


def tuned_work(snapshot: Snapshot, k: int, target: float) -> Work:
    """What was measured to reach this recall at this k or the next larger one.

    The default budget where nothing was measured, and no less than it where what was measured is doubted: it
    was of other documents. The log tells that once per generation.
    """
    tuned = zip(snapshot.manifest.tuning, snapshot.tuning_doubts, strict=True)
    fitting = [(t, doubt) for t, doubt in tuned if t.k >= k and t.target >= target]
    if not fitting:
        return DEFAULT_BUDGET
    record, doubt = min(fitting, key=lambda one: (one[0].k, one[0].target))
    work = stored_work(record.settings)
    if doubt is None or isinstance(work, Exact):
        return work
    _tell_doubt(snapshot.fingerprint, doubt)
    return Budget(
        max(work.max_postings, DEFAULT_BUDGET.max_postings),
        max(work.n_candidates, DEFAULT_BUDGET.n_candidates),
    )


@lru_cache(maxsize=64)
def _tell_doubt(fingerprint: str, doubt: str) -> None:
    """Say it once for the generation of this fingerprint."""
    logger.warning("the index %s: %s", doubt, ADVICE)


def search(
    snapshot: Snapshot, queries: SparseVectors, k: int, plan: Plan, threads: int, where: Where | None
) -> SearchResult:
    """The best k documents of all segments; equal scores in the order of ordinals.

    Every segment returns its own best k, ordered by score and then ordinal. Segments are joined in their
    order and sorted stably by score, so ties keep the order of the ordinals over the whole index.
    """
    keep = allowed_documents(snapshot, where)
    n = len(queries)
    exact, found, parts = True, [], []
    for segment, base, allowed, work in zip(
        snapshot.segments, snapshot.bases.tolist(), keep, plan.works(snapshot), strict=False
    ):
        if allowed is not None and not allowed.any():
            continue
        exact &= isinstance(work, Exact)
        parts.append((segment, base, allowed, work))
    # few queries leave threads free, which take a segment each
    outer = max(1, min(threads, len(parts))) if n < threads else 1

    def search_segment(part: tuple[Segment, int, NDArray[np.bool_] | None, Work]) -> SegmentHits:
        segment, _, allowed, work = part
        width, inner = min(k, len(segment)), max(1, threads // outer)
        return segment.searcher.search(queries, width, work, threads=inner, allowed=allowed)

    if len(parts) == 1 and parts[0][1] == 0 and len(parts[0][0]) >= k:  # nothing to merge: 8 us less
        hits = search_segment(parts[0])
        return SearchResult(hits.ordinals, hits.scores, hits.docs_scored, exact, snapshot.ids)
    docs_scored = np.zeros(n, np.int64)
    for (_, base, _, _), hits in zip(parts, map_threads(search_segment, parts, outer), strict=True):
        docs_scored += hits.docs_scored
        found.append((np.where(hits.ordinals >= 0, hits.ordinals + base, -1), hits.scores))
    ordinals, scores = best_of(found, n, k)
    return SearchResult(ordinals, scores, docs_scored, exact, snapshot.ids)


def best_of(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], n_queries: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best k of several parts of an index; equal scores in the order of the parts.

    Args:
        found: of each part int64[n_queries, any] ordinals in the whole, -1 for none, and their scores.
        n_queries: rows.
        k: columns wanted.

    Returns:
        int64[n_queries, k] and float32[n_queries, k], filled up with -1 and -inf.
    """
    ordinals = np.full((n_queries, k), -1, np.int64)
    scores = np.full((n_queries, k), -np.inf, np.float32)
    if len(found) == 1:
        width = min(k, found[0][0].shape[1])
        ordinals[:, :width], scores[:, :width] = found[0][0][:, :width], found[0][1][:, :width]
    elif found:
        together = np.concatenate([o for o, _ in found], axis=1)
        values = np.concatenate([s for _, s in found], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        width = order.shape[1]
        ordinals[:, :width] = np.take_along_axis(together, order, axis=1)
        scores[:, :width] = np.take_along_axis(values, order, axis=1)
    return ordinals, scores


def allowed_documents(snapshot: Snapshot, where: Where | None) -> list[NDArray[np.bool_] | None]:
    """Per segment the documents that may be returned: live, and matching the filter; None for all."""
    if where is None:
        return [segment.live for segment in snapshot.segments]
    from splade_engine.index.filter.parse import parse_where

    part = parse_where(where)
    key = _key(part)
    if key not in snapshot.masks:
        check_filter(snapshot, part)
    return matching_documents(snapshot, part, key)


def _key(part: Filter) -> str:
    """What tells a filter from all others. 1, 1.0 and True are equal, but not as values of a column."""
    return digest(repr(part).encode("utf-8", "surrogatepass"))


def check_filter(snapshot: Snapshot, part: Filter) -> None:
    """Raises InvalidInputError where a filter names a column that no document has."""
    from splade_engine.index.filter.parse import columns_of

    for name in sorted(columns_of(part)):
        snapshot.check_column(name, "where")


def matching_documents(
    snapshot: Snapshot, part: Filter, key: str | None = None
) -> list[NDArray[np.bool_] | None]:
    """`allowed_documents` for a filter whose columns were checked; one that is not there has no values.

    `key` is what it is kept under, where the caller knows it.
    """
    from splade_engine.index.filter.evaluate import matching
    from splade_engine.index.filter.nodes import columns_of

    key = _key(part) if key is None else key
    masks = snapshot.masks.get(key)
    if masks is not None:
        return masks
    kinds = {name: snapshot.nested_kinds.of(name) for name in columns_of(part)}
    masks = []
    for segment in snapshot.segments:
        table = None if segment.payload is None else segment.payload.table
        mask = matching(part, table, len(segment), segment.words, kinds)
        masks.append(mask if segment.live is None else mask & segment.live)
    with contextlib.suppress(KeyError, RuntimeError):  # another thread may be making room as well
        while len(snapshot.masks) >= KEPT_MASKS:
            del snapshot.masks[next(iter(snapshot.masks))]
    snapshot.masks[key] = masks
    return masks
