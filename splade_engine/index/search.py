"""Searching all segments of a snapshot and merging their hits."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import SearchConfig
from splade_engine.index.results import SearchResult
from splade_engine.index.settings import search_config
from splade_engine.index.snapshot import Snapshot
from splade_engine.vectors import SparseVectors

# Up to this many documents an index is searched exactly when nothing else is asked for: approximation is no
# faster there. Measured with queries of 8, 43 and 80 Zipfian terms, microseconds exact / approximate: 50,000
# documents 283/328, 254/262, 310/268; 100,000 documents 200/227, 498/192, 767/158.
EXACT_UP_TO = 60_000
MIN_POSTINGS = 2_000  # entries walked in a segment, however small its share of the index
KEPT_MASKS = 8  # filters whose answer is kept, one byte a document each: queries often ask the same
MAX_K = 1_000_000  # hits per query that may be asked of an index with fewer documents


@dataclass(frozen=True)
class Plan:
    """How an index is searched: the settings, meant for one segment each, or (`shared`) for all together."""

    config: SearchConfig
    shared: bool

    @classmethod
    def of(
        cls, snapshot: Snapshot, k: int, *, accuracy: float | None, exact: bool, config: SearchConfig | None
    ) -> Plan:
        """The plan for the arguments of a search.

        Raises:
            InvalidInputError: if they contradict each other or are out of range.
        """
        check_k(k, int(snapshot.bases[-1]))
        if (accuracy is not None) + exact + (config is not None) > 1:
            raise InvalidInputError("search: give one of accuracy, exact and config")
        if exact or accuracy == 1.0:
            return cls(SearchConfig(exact=True), shared=False)
        if config is not None:
            return cls(config, shared=False)
        if accuracy is not None and not 0.0 < accuracy <= 1.0:
            raise InvalidInputError(f"search: accuracy must be above 0 and at most 1, got {accuracy}")
        if snapshot.bases[-1] <= EXACT_UP_TO:
            return cls(SearchConfig(exact=True), shared=False)
        return cls(settings_for(snapshot, k, accuracy), shared=True)

    def for_segment(self, n_docs: int, all_docs: int) -> SearchConfig:
        """The settings for a segment of `n_docs` documents of an index of `all_docs`.

        Shared entries to walk are dealt out by size, so that an index in several segments costs less than as
        many times the same index in one.
        """
        if not self.shared or self.config.exact or n_docs == all_docs:
            return self.config
        postings = max(MIN_POSTINGS, self.config.max_postings * n_docs // all_docs)
        return replace(self.config, max_postings=min(postings, self.config.max_postings))


def check_k(k: int, n_docs: int) -> None:
    """Raises InvalidInputError for a k that is no integer, below 1, or too large to make an answer of that
    width.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise InvalidInputError(f"k must be an integer, got {k!r}")
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, got {k}")
    if k > max(MAX_K, n_docs):
        raise InvalidInputError(f"k must be at most {max(MAX_K, n_docs)}, got {k}")


def settings_for(snapshot: Snapshot, k: int, accuracy: float | None) -> SearchConfig:
    """The tuned settings for this accuracy at this k or the next larger one; the defaults where there are
    none.
    """
    target = 0.95 if accuracy is None else accuracy
    fitting = [t for t in snapshot.manifest.tuning if t.k >= k and t.target >= target]
    if not fitting:
        return SearchConfig()
    best = min(fitting, key=lambda t: (t.k, t.target))
    return search_config(best.settings)


def search(
    snapshot: Snapshot, queries: SparseVectors, k: int, plan: Plan, threads: int, where: Any
) -> SearchResult:
    """The best k documents of all segments; equal scores in the order of ordinals.

    Every segment returns its own best k, ordered by score and then ordinal. Segments are joined in their
    order and sorted stably by score, so ties keep the order of the ordinals over the whole index.
    """
    keep = allowed_documents(snapshot, where)
    n = len(queries)
    ordinals = np.full((n, k), -1, np.int64)
    scores = np.full((n, k), -np.inf, np.float32)
    docs_scored = np.zeros(n, np.int64)
    exact, found = True, []
    for segment, base, allowed in zip(snapshot.segments, snapshot.bases.tolist(), keep, strict=False):
        if allowed is not None and not allowed.any():
            continue
        config = plan.for_segment(len(segment), int(snapshot.bases[-1]))
        exact &= config.exact
        width = min(k, len(segment))
        hits = segment.searcher.search(queries, width, config, threads=threads, allowed=allowed)
        docs_scored += hits.docs_scored
        found.append((np.where(hits.ordinals >= 0, hits.ordinals + base, -1), hits.scores))
    if len(found) == 1:
        width = found[0][0].shape[1]
        ordinals[:, :width], scores[:, :width] = found[0]
    elif found:
        together = np.concatenate([o for o, _ in found], axis=1)
        values = np.concatenate([s for _, s in found], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        width = order.shape[1]
        ordinals[:, :width] = np.take_along_axis(together, order, axis=1)
        scores[:, :width] = np.take_along_axis(values, order, axis=1)
    return SearchResult(ordinals, scores, docs_scored, exact, snapshot.ids)


def allowed_documents(snapshot: Snapshot, where: Any) -> list[NDArray[np.bool_] | None]:
    """Per segment the documents that may be returned: live, and matching the filter; None for all."""
    if where is None:
        return [segment.live for segment in snapshot.segments]
    from splade_engine.index.filter.evaluate import matching
    from splade_engine.index.filter.parse import columns_of, parse_where

    part = parse_where(where)
    key = repr(part)  # not the filter itself: 1, 1.0 and True are equal, but not as values of a column
    masks = snapshot.masks.get(key)
    if masks is not None:
        return masks
    known = {c.name for s in snapshot.manifest.segments for c in s.columns}
    unknown = sorted(columns_of(part) - known)
    if unknown and snapshot.segments:
        there = ", ".join(sorted(known)[:20]) or "none"
        raise InvalidInputError(f"where: no column {unknown[0]!r}; the index has: {there}")
    masks = []
    for segment in snapshot.segments:
        table = None if segment.payload is None else segment.payload.table
        mask = matching(part, table, len(segment))
        masks.append(mask if segment.live is None else mask & segment.live)
    with contextlib.suppress(KeyError, RuntimeError):  # another thread may be making room as well
        while len(snapshot.masks) >= KEPT_MASKS:
            del snapshot.masks[next(iter(snapshot.masks))]
    snapshot.masks[key] = masks
    return masks
