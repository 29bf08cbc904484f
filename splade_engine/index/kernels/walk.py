"""Ways through the lists: down to an impact, for candidates; or far enough that nothing can be missed."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined, prefetch
from splade_engine.index.kernels.accumulate import (
    add_heavy_entries,
    add_whole_list,
    keep_largest,
    next_bound,
    nth_largest,
    prefetch_entries,
    take_all,
    take_touched,
)
from splade_engine.index.kernels.heap import push
from splade_engine.index.kernels.plan import CEILING, impact_threshold
from splade_engine.index.kernels.score import AHEAD, prefetch_row, scale_of, score_row


@inlined
def score_candidates(
    begin: Any,
    end: Any,
    slots: Any,
    values: Any,
    missing: Any,
    to_bound: Any,
    doc_offsets: Any,
    doc_terms: Any,
    doc_blocks: Any,
    n_blocks: Any,
    doc_weights: Any,
    doc_scales: Any,
    table: Any,
    out_scores: Any,
    out_docs: Any,
    q: Any,
    size: Any,
    scored: Any,
) -> Any:
    """Score candidates begin..end-1 in full.

    If missing >= 0, value + missing is a bound of a candidate's score; those below the k-th best are skipped.
    """
    k = out_scores.shape[1]
    for c in range(begin, min(begin + 2 * AHEAD, end)):
        prefetch(doc_offsets, slots[c])
    for c in range(begin, min(begin + AHEAD, end)):
        d = slots[c]
        left, right = doc_offsets[d], doc_offsets[d + 1]
        bit, stop = left + d * n_blocks, right + (d + 1) * n_blocks
        prefetch_row(d, left, right, bit, stop, doc_terms, doc_blocks, doc_weights, doc_scales)
    for c in range(begin, end):
        if c + 2 * AHEAD < end:
            prefetch(doc_offsets, slots[c + 2 * AHEAD])
        if c + AHEAD < end:
            d = slots[c + AHEAD]
            left, right = doc_offsets[d], doc_offsets[d + 1]
            bit, stop = left + d * n_blocks, right + (d + 1) * n_blocks
            prefetch_row(d, left, right, bit, stop, doc_terms, doc_blocks, doc_weights, doc_scales)
        if missing >= 0.0 and size == k and values[c] + missing < np.float64(out_scores[q, 0]) * to_bound:
            continue
        d = slots[c]
        left, right = doc_offsets[d], doc_offsets[d + 1]
        bit, stop = left + d * n_blocks, right + (d + 1) * n_blocks
        row_scale = scale_of(d, doc_weights, doc_scales)
        score = score_row(left, right, bit, stop, doc_terms, doc_blocks, doc_weights, row_scale, table)
        scored[q] += 1
        if score > np.float32(0.0):
            size = push(out_scores, out_docs, q, size, score, d)
    return size


@inlined
def keep_allowed(begin: Any, end: Any, allowed: Any, slots: Any, values: Any) -> Any:
    """Drop the candidates of begin..end-1 that may not be returned; returns the new end."""
    if len(allowed) == 0:
        return end
    kept = np.int64(begin)
    for c in range(begin, end):
        if allowed[slots[c]]:
            slots[kept], values[kept] = slots[c], values[c]
            kept += 1
    return kept


@inlined
def collect_heavy(
    count: Any,
    windows: Any,
    window: Any,
    floor: Any,
    wanted: Any,
    lists: Any,
    multipliers: Any,
    lowest: Any,
    ends: Any,
    list_offsets: Any,
    list_docs: Any,
    list_codes: Any,
    allowed: Any,
    bounds: Any,
    slots: Any,
    values: Any,
    work: Any,
) -> Any:
    """Walk the lists down to their lowest codes; the documents with the largest sums, at most `wanted`."""
    trigger = 4 * wanted + 1024
    least = floor
    kept = np.int64(0)
    for i in range(count):
        at = lists[i] * windows
        begin = list_offsets[at]
        prefetch_entries(begin, min(begin + 64, list_offsets[at + 1]), list_docs, list_codes)
    for w in range(windows):
        for i in range(count):
            at = lists[i] * windows + w
            begin, end = list_offsets[at], list_offsets[at + 1]
            ends[i] = add_heavy_entries(begin, end, lowest[i], multipliers[i], list_docs, list_codes, bounds)
            if w + 1 < windows:  # the next window will need about as many
                ahead = min(end + (ends[i] - begin) + 32, list_offsets[at + 2])
                prefetch_entries(end, ahead, list_docs, list_codes)
        for i in range(count):
            begin = list_offsets[lists[i] * windows + w]
            before = kept
            kept = take_touched(begin, ends[i], list_docs, bounds, least, w * window, kept, slots, values)
            kept = keep_allowed(before, kept, allowed, slots, values)
            if kept > trigger:
                least = next_bound(keep_largest(kept, wanted, slots, values, work))
                kept = np.int64(wanted)
    if kept > wanted:
        keep_largest(kept, wanted, slots, values, work)
        kept = np.int64(wanted)
    return kept


@inlined
def walk_heavy(
    count: Any,
    windows: Any,
    window: Any,
    budget: Any,
    wanted: Any,
    n_levels: Any,
    scale: Any,
    lists: Any,
    factors: Any,
    priorities: Any,
    multipliers: Any,
    active: Any,
    lowest: Any,
    ends: Any,
    histogram: Any,
    list_offsets: Any,
    list_levels: Any,
    list_docs: Any,
    list_codes: Any,
    allowed: Any,
    bounds: Any,
    slots: Any,
    values: Any,
    work: Any,
) -> Any:
    """Candidates by their sums over the `budget` entries of the largest impact; returns how many."""
    threshold = impact_threshold(
        count, lists, priorities, budget, windows, list_offsets, list_levels, n_levels, histogram
    )
    # active holds, one after the other, the numbers and the multipliers of the lists that reach the threshold
    n_active, half, smallest = np.int64(0), len(active) // 2, 0.0
    for i in range(count):
        code = np.ceil(threshold / priorities[i])
        if code <= 255.0:
            smallest += code * factors[i]
            active[n_active], active[half + n_active] = lists[i], multipliers[i]
            lowest[n_active] = max(np.int64(code), 1)
            n_active += 1
    # few of the documents touched reach three times the smallest impact walked (the mean over the lists), and
    # the best of them do: the rest is not collected
    floor = np.uint16(min(max(1.0, 3.0 * scale * smallest / max(n_active, 1)), CEILING))
    while True:
        kept = collect_heavy(
            *(n_active, windows, window, floor, wanted, active[:half], active[half:], lowest, ends),
            *(list_offsets, list_docs, list_codes, allowed, bounds, slots, values, work),
        )
        if kept >= wanted or floor == np.uint16(1):
            return kept
        floor = np.uint16(1)  # a query of few impacts


@inlined
def walk_all(
    count: Any,
    windows: Any,
    window: Any,
    reach: Any,
    missing: Any,
    to_bound: Any,
    lists: Any,
    multipliers: Any,
    lowest: Any,
    list_offsets: Any,
    list_docs: Any,
    list_codes: Any,
    doc_offsets: Any,
    doc_terms: Any,
    doc_blocks: Any,
    n_blocks: Any,
    doc_weights: Any,
    doc_scales: Any,
    allowed: Any,
    table: Any,
    bounds: Any,
    slots: Any,
    values: Any,
    work: Any,
    out_scores: Any,
    out_docs: Any,
    q: Any,
    scored: Any,
) -> Any:
    """Exact search, given a score that the k-th best document is known to reach; returns the number of hits.

    Lists are read down to their lowest codes; that leaves out at most `missing` of a document's bound.
    """
    n_docs = len(doc_offsets) - 1
    k = out_scores.shape[1]
    size = np.int64(0)
    for w in range(windows):
        n = min(window, n_docs - w * window)
        for i in range(count):
            at = lists[i] * windows + w
            begin, end = list_offsets[at], list_offsets[at + 1]
            if lowest[i] <= 1:
                add_whole_list(begin, end, multipliers[i], list_docs, list_codes, bounds)
            elif lowest[i] <= 255:
                stop = add_heavy_entries(begin, end, lowest[i], multipliers[i], list_docs, list_codes, bounds)
                if w + 1 < windows:
                    ahead = min(end + min(stop - begin, 256) + 32, list_offsets[at + 2])
                    prefetch_entries(end, ahead, list_docs, list_codes)
        if size == k:
            reach = max(reach, out_scores[q, 0])
        least = np.uint16(min(max(np.float64(reach) * to_bound - missing, 1.0), CEILING))
        kept = take_all(n, bounds, least, w * window, slots, values)
        kept = keep_allowed(np.int64(0), kept, allowed, slots, values)
        begin = np.int64(0)
        if kept > 2 * k:  # the likely best first: they raise what the others must reach
            for c in range(kept):
                work[c] = values[c]
            pivot = nth_largest(work, kept, k)
            for c in range(kept):
                if values[c] >= pivot:
                    slots[begin], slots[c] = slots[c], slots[begin]
                    values[begin], values[c] = values[c], values[begin]
                    begin += 1
            size = score_candidates(
                *(np.int64(0), begin, slots, values, missing, to_bound),
                *(doc_offsets, doc_terms, doc_blocks, n_blocks, doc_weights, doc_scales, table),
                *(out_scores, out_docs, q, size, scored),
            )
        size = score_candidates(
            *(begin, kept, slots, values, missing, to_bound),
            *(doc_offsets, doc_terms, doc_blocks, n_blocks, doc_weights, doc_scales, table),
            *(out_scores, out_docs, q, size, scored),
        )
    return size
