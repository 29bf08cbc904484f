"""Candidates: documents with bounds of their scores, from the lists to the hits."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.accumulate import kth_bound
from splade_engine.index.kernels.dtypes import b1, f8, i8, u2, u8_w
from splade_engine.index.kernels.groups import Allowed, Candidates, Hits, Query, Rows
from splade_engine.index.kernels.heap import key_of, push, score_of
from splade_engine.index.kernels.jit import helper, prefetch
from splade_engine.index.kernels.plan import CEILING
from splade_engine.index.kernels.score import AHEAD, prefetch_row, score_row

# entries per hit wanted, and ten more, from which what is guessed is scored: this costs .3 us per hit, and
# leaves more of the lists unread than the bounds of the guess do (637k passages, k = 10: queries of 52 terms
# 329 us with it and 364 without, queries of 5 terms 90 and 74)
WORTH_SCORING = 20_000


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
def likely_best_first(found: Candidates, count: i8, wanted: i8) -> i8:
    """Bring the candidates of the `wanted` largest bounds (and equal ones) to the front; returns how many."""
    docs, values = found.docs, found.bounds
    pivot = kth_bound(found, count=count, k=wanted)
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


@helper
def sure_score(bound: u2, slack: f8, scale: f8, to_bound: f8) -> f8:
    """The score that a document of this bound has at least, of which bounds may be `slack` too large."""
    return max(np.float64(bound) - slack, 0.0) / scale * (to_bound / scale)


@helper
def worth_scoring(total: i8, k: i8) -> b1:
    """Whether what an exact search guesses first is scored, for lists of `total` entries together."""
    return total > WORTH_SCORING * (k + 10)


@helper
def reach_of_guess(
    rows: Rows,
    found: Candidates,
    count: i8,
    scored: b1,
    slack: f8,
    scale: f8,
    to_bound: f8,
    query: Query,
    best: u8_w,
    hits: Hits,
    q: i8,
) -> f8:
    """The score that the k-th best document reaches at least, by `count` candidates; they are no hits yet."""
    k = hits.scores.shape[1]
    reach = sure_score(kth_bound(found, count=count, k=k), slack, scale, to_bound)
    if scored:
        size = score_candidates(
            *(rows, found, 0, count, -1.0, to_bound, query, best, hits, q, 0),
        )
        if size == k:
            reach = max(reach, np.float64(score_of(best[0])))
    return reach


@helper
def make_room(
    rows: Rows,
    found: Candidates,
    count: i8,
    most: i8,
    reach: f8,
    missing: f8,
    slack: f8,
    scale: f8,
    to_bound: f8,
    query: Query,
    best: u8_w,
    hits: Hits,
    q: i8,
    size: i8,
) -> tuple[int, int, float]:
    """Drop candidates that cannot be hits; where more than `most` are left, score them all.

    Returns how many candidates wait still, the number of hits, and the score that others must reach.
    """
    k = hits.scores.shape[1]
    reach = max(reach, sure_score(kth_bound(found, count=count, k=k), slack, scale, to_bound))
    kept = keep_reaching(found, begin=0, end=count, threshold=needed(reach * to_bound - missing))
    if kept > most:  # too many are alike to tell them apart by bounds
        size = score_best_first(
            *(rows, found, kept, missing, to_bound, query, best, hits, q, size),
        )
        kept = 0
        if size == k:
            reach = max(reach, np.float64(score_of(best[0])))
    return kept, size, reach
