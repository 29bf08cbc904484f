"""The search loops: walk lists window by window, score the promising documents in full, keep the best k.

Approximate: only the `budget` entries of the largest impact (query weight x document weight, more for rare
    terms: `plan.load_query`) are walked, wherever they lie; the `wanted` documents with the largest partial
    sums are scored in full. Exact: all entries are walked; their sums are upper bounds, and every document
    whose bound reaches the k-th best score is scored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined, kernel
from splade_engine.index.kernels.heap import push, sort_best_first
from splade_engine.index.kernels.plan import CEILING, MOST_TERMS, cut_lists, load_query
from splade_engine.index.kernels.score import scale_of, score_row
from splade_engine.index.kernels.walk import score_candidates, walk_all, walk_heavy
from splade_engine.index.segment.row_kinds import TERM_KINDS, WEIGHT_KINDS

READ_ALL, WALK_ALL, WALK_HEAVY = 0, 1, 2
# entries from which an exact search starts with an approximate one: without a score that others must reach it
# would collect every document of the first window (600 us more)
WORTH_A_GUESS = 200
# entries from which it is worth working out how far each list must be read (9 us for 45 terms)
WORTH_CUTTING = 25_000
# the part of the k-th best score that an exact search may leave unread in the lists: more of it reads less of
# them and scores more documents (637k passages, k = 10: 339 us at 0, 259 at .15, 273 at .3)
SPARE = 0.2


@inlined
def choose_way(
    exact: Any,
    k: Any,
    count: Any,
    n_docs: Any,
    n_allowed: Any,
    total: Any,
    budget: Any,
    wanted: Any,
    windows: Any,
) -> Any:
    """The cheapest way to an answer, by nanoseconds measured on one core (docs/performance.md)."""
    if count > MOST_TERMS:
        return READ_ALL
    read_all = 60.0 * n_allowed + 0.1 * n_docs
    walk_all = 15_000.0 + 0.35 * total + 1_200.0 * windows + 250.0 * k
    walk_heavy = 17_000.0 + 1.0 * budget + 150.0 * wanted
    if exact or walk_all <= walk_heavy:
        return READ_ALL if read_all < walk_all else WALK_ALL
    return READ_ALL if read_all < walk_heavy else WALK_HEAVY


@kernel(
    *[
        "i8 i8 b1 i8 i8 i8[] i4[] f4[] "  # the batch
        "i4[] u4[] i8 i8 i8[] f4[] u1[] u2[] u1[] "  # the terms and lists
        f"i8[] {t.kernel_type}[] {'u8' if t.low_bits else 'u1'}[] i8 {w.kernel_type}[] f4[] "  # the rows
        "u1[] i8 "  # the documents allowed
        "f4[]! i8[]! f8[]! f8[]! i8[]! i8[]! i8[]! i8[]! f8[]! u2[]! i8[]! u2[]! u2[]! "  # scratch
        "i8[,]! f4[,]! i8[]!"  # results
        for t in TERM_KINDS
        for w in WEIGHT_KINDS
    ]
)
def search_queries(  # noqa: C901  (three ways to an answer, one after the other)
    first: Any,
    last: Any,
    exact: Any,
    max_postings: Any,
    wanted: Any,
    q_offsets: Any,
    q_terms: Any,
    q_weights: Any,
    number_of: Any,
    term_ids: Any,
    window: Any,
    n_levels: Any,
    list_offsets: Any,
    list_scales: Any,
    list_levels: Any,
    list_docs: Any,
    list_codes: Any,
    doc_offsets: Any,
    doc_terms: Any,
    doc_blocks: Any,
    n_blocks: Any,
    doc_weights: Any,
    doc_scales: Any,
    allowed: Any,
    n_allowed: Any,
    table: Any,
    lists: Any,
    factors: Any,
    priorities: Any,
    multipliers: Any,
    active: Any,
    lowest: Any,
    ends: Any,
    histogram: Any,
    bounds: Any,
    slots: Any,
    values: Any,
    work: Any,
    out_docs: Any,
    out_scores: Any,
    out_scored: Any,
) -> None:
    """Answer queries first..last-1 of a batch."""
    n_docs = len(doc_offsets) - 1
    windows = (n_docs + window - 1) // window
    k = out_docs.shape[1]
    enough = min(np.int64(k), n_allowed)
    # a filter leaves only a part of what is walked
    budget = np.int64(min(np.float64(max_postings) * n_docs / max(n_allowed, 1), 4e18))
    for q in range(first, last):
        count = load_query(
            *(q_offsets[q], q_offsets[q + 1], q_terms, q_weights, number_of, term_ids, windows, n_levels),
            *(list_offsets, list_levels, list_scales, table, lists, factors, priorities),
        )
        if count == 0:
            continue
        total, mass = np.int64(0), 0.0
        for i in range(count):
            total += list_offsets[(lists[i] + 1) * windows] - list_offsets[lists[i] * windows]
            mass += factors[i] * 255.0
        way = choose_way(exact, k, count, n_docs, n_allowed, total, budget, wanted, windows)
        # bounds are counted in units of 1 / scale, so that even the largest possible sum fits 16 bits
        scale = (CEILING - 2.0 * count - 1.0) / max(mass, 1e-300)
        # a score is rounded once for each of its products: what a bound must reach is lower by as much
        to_bound = scale * (1.0 - 6e-8 * (count + 16))
        for i in range(count):
            multipliers[i] = np.int64(factors[i] * scale * 256.0) + 1
        size = np.int64(0)
        reach = np.float32(0.0)
        if way == WALK_HEAVY or (way == WALK_ALL and total > WORTH_A_GUESS):
            # before an exact search as well, with little effort: it tells what score the others must reach
            some = budget if way == WALK_HEAVY else min(total // 8, np.int64(5000))
            few = wanted if way == WALK_HEAVY else min(wanted, np.int64(2 * k))
            kept = walk_heavy(
                *(
                    count,
                    windows,
                    window,
                    some,
                    few,
                    n_levels,
                    scale,
                    lists,
                    factors,
                    priorities,
                    multipliers,
                ),
                *(active, lowest, ends, histogram, list_offsets, list_levels, list_docs, list_codes, allowed),
                *(bounds, slots, values, work),
            )
            size = score_candidates(
                *(np.int64(0), kept, slots, values, -1.0, to_bound),
                *(doc_offsets, doc_terms, doc_blocks, n_blocks, doc_weights, doc_scales, table),
                *(out_scores, out_docs, q, size, out_scored),
            )
            if size == k:
                reach = out_scores[q, 0]
            if size < enough:
                way = WALK_ALL  # fewer hits than asked for: the entries left out may hold more
        if way == WALK_ALL:
            allowance = SPARE / (1.0 + 0.005 * k) * np.float64(reach) if total > WORTH_CUTTING else 0.0
            missing = cut_lists(
                count, lists, factors, allowance, windows, list_offsets, list_levels, n_levels, lowest
            )
            missing = np.ceil(missing * scale) if missing > 0.0 else 0.0
            size = walk_all(
                *(count, windows, window, reach, missing, to_bound, lists, multipliers, lowest),
                *(list_offsets, list_docs, list_codes),
                *(doc_offsets, doc_terms, doc_blocks, n_blocks, doc_weights, doc_scales, allowed, table),
                *(bounds, slots, values, work, out_scores, out_docs, q, out_scored),
            )
            for rank in range(size, k):
                out_docs[q, rank], out_scores[q, rank] = -1, -np.inf
        elif way == READ_ALL:
            for d in range(n_docs):
                if len(allowed) == 0 or allowed[d]:
                    left, right = doc_offsets[d], doc_offsets[d + 1]
                    bit, stop = left + d * n_blocks, right + (d + 1) * n_blocks
                    row_scale = scale_of(d, doc_weights, doc_scales)
                    score = score_row(
                        left, right, bit, stop, doc_terms, doc_blocks, doc_weights, row_scale, table
                    )
                    out_scored[q] += 1
                    if score > np.float32(0.0):
                        size = push(out_scores, out_docs, q, size, score, d)
        sort_best_first(out_scores, out_docs, q, size)
        for i in range(count):
            table[np.uint64(lists[i])] = np.float32(0.0)
