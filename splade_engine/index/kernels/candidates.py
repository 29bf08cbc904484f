"""Candidates: documents with bounds of their scores, from the lists to the hits."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.accumulate import nth_largest
from splade_engine.index.kernels.dtypes import f8, i8, u2, u8_w
from splade_engine.index.kernels.groups import Allowed, Candidates, Hits, Query, Rows
from splade_engine.index.kernels.heap import key_of, push, score_of
from splade_engine.index.kernels.jit import helper, prefetch
from splade_engine.index.kernels.plan import CEILING
from splade_engine.index.kernels.score import AHEAD, prefetch_row, score_row


@helper
def most_waiting(wanted: i8) -> i8:
    """How many candidates wait at most before those are dropped that cannot be among the `wanted` best."""
    return 4 * wanted + 1024


@helper
def needed(bound: f8) -> u2:
    """The least sum of at least `bound`; 1 at least, since a document of sum 0 shares no term."""
    return np.uint16(min(max(bound, 1.0), CEILING))


@helper
def keep_allowed(allowed: Allowed, found: Candidates, begin: i8, end: i8) -> i8:
    """Drop the candidates of begin..end-1 that may not be returned; returns the new end."""
    if len(allowed.mask) == 0:
        return end
    kept = begin
    for c in range(begin, end):
        if allowed.mask[found.docs[c]]:
            found.docs[kept], found.bounds[kept] = found.docs[c], found.bounds[c]
            kept += 1
    return kept


@helper
def keep_reaching(found: Candidates, begin: i8, end: i8, threshold: u2) -> i8:
    """Drop the candidates of begin..end-1 whose bounds are below `threshold`; returns the new end."""
    kept = begin
    for c in range(begin, end):
        if found.bounds[c] >= threshold:
            found.docs[kept], found.bounds[kept] = found.docs[c], found.bounds[c]
            kept += 1
    return kept


@helper
def kth_bound(found: Candidates, count: i8, k: i8) -> u2:
    """The k-th largest bound of `count` candidates, 0 where there are fewer."""
    if count < k:
        return np.uint16(0)
    for c in range(count):
        found.work[c] = found.bounds[c]
    return nth_largest(found.work, n=count, rank=k)


@helper
def likely_best_first(found: Candidates, count: i8, wanted: i8) -> i8:
    """Bring the candidates of the `wanted` largest bounds (and equal ones) to the front; returns how many."""
    docs, values, work = found.docs, found.bounds, found.work
    for c in range(count):
        work[c] = values[c]
    pivot = nth_largest(work, n=count, rank=wanted)
    first = 0
    for c in range(count):
        if values[c] >= pivot:
            docs[first], docs[c] = docs[c], docs[first]
            values[first], values[c] = values[c], values[first]
            first += 1
    return first


@helper
def score_candidates(
    rows: Rows,
    found: Candidates,
    begin: i8,
    end: i8,
    missing: f8,
    to_bound: f8,
    query: Query,
    best: u8_w,
    hits: Hits,
    q: i8,
    size: i8,
) -> i8:
    """Score candidates begin..end-1 in full, and offer them to query q's `size` best; returns the new size.

    If missing >= 0, bound + missing is a bound of a candidate's score; those below the k-th best are skipped.
    """
    docs = found.docs
    k = hits.scores.shape[1]
    for c in range(begin, min(begin + 2 * AHEAD, end)):
        prefetch(rows.offsets, docs[c])
    for c in range(begin, min(begin + AHEAD, end)):
        prefetch_row(rows, docs[c])
    for c in range(begin, end):
        if c + 2 * AHEAD < end:
            prefetch(rows.offsets, docs[c + 2 * AHEAD])
        if c + AHEAD < end:
            prefetch_row(rows, docs[c + AHEAD])
        if missing >= 0.0 and size == k:
            least = np.float64(score_of(best[0])) * to_bound
            if found.bounds[c] + missing < least:
                continue
        score = score_row(rows, docs[c], query)
        hits.scored[q] += 1
        if score > np.float32(0.0):
            size = push(best, k=k, size=size, key=key_of(score, docs[c]))
    return size


@helper
def score_best_first(
    rows: Rows,
    found: Candidates,
    end: i8,
    missing: f8,
    to_bound: f8,
    query: Query,
    best: u8_w,
    hits: Hits,
    q: i8,
    size: i8,
) -> i8:
    """Score candidates 0..end-1, the likely best first: they raise what the others must reach.

    As `score_candidates`; returns the new number of hits.
    """
    k = hits.scores.shape[1]
    first = 0
    if end > k:
        first = likely_best_first(found, count=end, wanted=k)
        size = score_candidates(
            *(rows, found, 0, first, missing, to_bound, query, best, hits, q, size),
        )
        if size == k:
            least = np.float64(score_of(best[0])) * to_bound - missing
            end = keep_reaching(found, begin=first, end=end, threshold=needed(least))
    return score_candidates(
        *(rows, found, first, end, missing, to_bound, query, best, hits, q, size),
    )
