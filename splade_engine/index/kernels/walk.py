"""Ways through the lists: down to an impact, for candidates; or far enough that nothing can be missed."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.accumulate import (
    add_heavy_entries,
    add_whole_list,
    keep_largest,
    next_bound,
    prefetch_entries,
    take_all,
    take_touched,
)
from splade_engine.index.kernels.candidates import (
    keep_allowed,
    make_room,
    most_waiting,
    needed,
    score_best_first,
)
from splade_engine.index.kernels.dtypes import f8, i8, u2
from splade_engine.index.kernels.groups import Active, Allowed, Hits, Lists, Rows, Scratch
from splade_engine.index.kernels.jit import helper
from splade_engine.index.kernels.plan import CEILING, impact_threshold


@helper
def collect_heavy(
    lists: Lists, active: Active, count: i8, wanted: i8, floor: u2, allowed: Allowed, scratch: Scratch
) -> i8:
    """Walk `count` active lists down to their lowest codes for the `wanted` documents of the largest sums.

    Sums below `floor` are left out. Returns the number of candidates found.
    """
    bounds, found = scratch.bounds, scratch.found
    windows = lists.windows
    most = most_waiting(wanted)
    least = floor
    kept = 0
    for i in range(count):
        at = active.numbers[i] * windows
        begin = lists.offsets[at]
        prefetch_entries(lists, begin=begin, end=min(begin + 64, lists.offsets[at + 1]))
    for w in range(windows):
        for i in range(count):
            at = active.numbers[i] * windows + w
            begin, end = lists.offsets[at], lists.offsets[at + 1]
            active.ends[i] = add_heavy_entries(
                lists, at=at, lowest=active.lowest[i], multiplier=active.multipliers[i], bounds=bounds
            )
            if w + 1 < windows:  # the next window will need about as many
                ahead = min(end + (active.ends[i] - begin) + 32, lists.offsets[at + 2])
                prefetch_entries(lists, begin=end, end=ahead)
        for i in range(count):
            before = kept
            at = active.numbers[i] * windows + w
            kept = take_touched(
                *(lists, at, active.ends[i], bounds, least),
                *(w * lists.window, found, kept),
            )
            kept = keep_allowed(allowed, found, begin=before, end=kept)
            if kept > most:
                least = next_bound(keep_largest(found, count=kept, wanted=wanted))
                kept = wanted
    if kept > wanted:
        keep_largest(found, count=kept, wanted=wanted)
        kept = wanted
    return kept


@helper
def walk_heavy(
    lists: Lists, count: i8, budget: i8, wanted: i8, scale: f8, allowed: Allowed, scratch: Scratch
) -> i8:
    """Candidates by their sums over the `budget` entries of the largest impact; returns how many."""
    terms, active = scratch.terms, scratch.active
    threshold = impact_threshold(lists, terms, count=count, budget=budget, histogram=scratch.histogram)
    n_active, smallest = 0, 0.0
    for i in range(count):
        code = np.ceil(threshold / terms.priorities[i])
        if code <= 255.0:
            smallest += code * terms.factors[i]
            active.numbers[n_active] = terms.numbers[i]
            active.multipliers[n_active] = terms.multipliers[i]
            active.lowest[n_active] = max(int(code), 1)
            n_active += 1
    # few of the documents touched reach three times the smallest impact walked (the mean over the lists), and
    # the best of them do: the rest is not collected
    floor = np.uint16(min(max(1.0, 3.0 * scale * smallest / max(n_active, 1)), CEILING))
    while True:
        kept = collect_heavy(
            lists, active, count=n_active, wanted=wanted, floor=floor, allowed=allowed, scratch=scratch
        )
        if kept >= wanted or floor == np.uint16(1):
            return kept
        floor = np.uint16(1)  # a query of few impacts


@helper
def walk_all(
    lists: Lists,
    rows: Rows,
    count: i8,
    reach: f8,
    missing: f8,
    slack: f8,
    scale: f8,
    to_bound: f8,
    allowed: Allowed,
    scratch: Scratch,
    hits: Hits,
    q: i8,
) -> i8:
    """Exact search, given a score that the k-th best document is known to reach; returns the number of hits.

    Lists are read down to their lowest codes; that leaves out at most `missing` of a document's bound. A
    bound is too large by less than `slack`, so that the k-th largest one tells what the others must reach,
    before anything is scored.
    """
    terms, bounds, found = scratch.terms, scratch.bounds, scratch.found
    windows = lists.windows
    n_docs = len(rows.offsets) - 1
    most = most_waiting(hits.scores.shape[1])
    size, kept = 0, 0
    for w in range(windows):
        n = min(lists.window, n_docs - w * lists.window)
        for i in range(count):
            at, lowest = terms.numbers[i] * windows + w, terms.lowest[i]
            if lowest <= 1:
                add_whole_list(lists, at=at, multiplier=terms.multipliers[i], bounds=bounds)
            elif lowest <= 255:
                stop = add_heavy_entries(
                    lists, at=at, lowest=lowest, multiplier=terms.multipliers[i], bounds=bounds
                )
                if w + 1 < windows:
                    begin, end = lists.offsets[at], lists.offsets[at + 1]
                    ahead = min(end + min(stop - begin, 256) + 32, lists.offsets[at + 2])
                    prefetch_entries(lists, begin=end, end=ahead)
        least = needed(reach * to_bound - missing)
        before = kept
        kept = take_all(n=n, bounds=bounds, threshold=least, base=w * lists.window, found=found, count=kept)
        kept = keep_allowed(allowed, found, begin=before, end=kept)
        if kept > most:
            kept, size, reach = make_room(
                *(rows, found, kept, most, reach, missing, slack, scale, to_bound),
                *(scratch.query, scratch.best, hits, q, size),
            )
    return score_best_first(
        *(rows, found, kept, missing, to_bound, scratch.query, scratch.best, hits, q, size),
    )
