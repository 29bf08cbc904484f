"""The search loops: walk lists window by window, score the promising documents in full, keep the best k.

Approximate: only the `budget` entries of the largest impact (query weight x document weight, more for rare
    terms: `plan.load_query`) are walked, wherever they lie; the `wanted` documents with the largest partial
    sums are scored in full. Exact: all entries are walked; their sums are upper bounds, and every document
    whose bound reaches the k-th best score is scored.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.candidates import reach_of_guess, score_candidates, worth_scoring
from splade_engine.index.kernels.dtypes import i8, u8_w
from splade_engine.index.kernels.groups import Allowed, Hits, Limits, Lists, Queries, Query, Rows, Scratch
from splade_engine.index.kernels.heap import key_of, push, write_ranking
from splade_engine.index.kernels.jit import helper, kernel
from splade_engine.index.kernels.plan import (
    MOST_TERMS,
    clear_query,
    cut_lists,
    list_length,
    load_query,
    most_too_large,
    scale_bounds,
)
from splade_engine.index.kernels.score import score_row
from splade_engine.index.kernels.walk import walk_all, walk_heavy

READ_ALL, WALK_ALL, WALK_HEAVY = 0, 1, 2
# entries from which an exact search starts with an approximate one: without a score that others must reach it
# would collect every document of the first window (600 us more)
WORTH_A_GUESS = 200
GUESS = 5_000  # entries that it walks at most
# entries from which it is worth working out how far each list must be read (9 us for 45 terms)
WORTH_CUTTING = 25_000
# the part of the k-th best score that an exact search may leave unread in the lists: more of it reads less of
# them and scores more documents (637k passages, k = 10: 339 us at 0, 259 at .15, 273 at .3)
SPARE = 0.2


@helper
def choose_way(
    limits: Limits, count: i8, k: i8, n_docs: i8, n_allowed: i8, total: i8, budget: i8, windows: i8
) -> i8:
    """The cheapest way to an answer, by nanoseconds measured on one core (docs/performance.md)."""
    if count > MOST_TERMS:
        return READ_ALL
    read_all = 60.0 * n_allowed + 0.1 * n_docs
    walk_all = 15_000.0 + 0.35 * total + 1_200.0 * windows + 250.0 * k
    walk_heavy = 17_000.0 + 1.0 * budget + 250.0 * limits.candidates
    if limits.exact or walk_all <= walk_heavy:
        return READ_ALL if read_all < walk_all else WALK_ALL
    return READ_ALL if read_all < walk_heavy else WALK_HEAVY


@helper
def read_all_rows(rows: Rows, allowed: Allowed, query: Query, best: u8_w, hits: Hits, q: i8) -> i8:
    """Score every document that may be returned; returns the number of hits."""
    size, k = 0, hits.scores.shape[1]
    for d in range(len(rows.offsets) - 1):
        if len(allowed.mask) == 0 or allowed.mask[d]:
            score = score_row(rows, d, query)
            hits.scored[q] += 1
            if score > np.float32(0.0):
                size = push(best, k=k, size=size, key=key_of(score, d))
    return size


@kernel
def search_queries(
    first: i8,
    last: i8,
    limits: Limits,
    queries: Queries,
    lists: Lists,
    rows: Rows,
    allowed: Allowed,
    scratch: Scratch,
    hits: Hits,
) -> None:
    """Answer queries first..last-1 of a batch."""
    n_docs = len(rows.offsets) - 1
    windows = lists.windows
    terms = scratch.terms
    k = hits.docs.shape[1]
    enough = min(k, allowed.total)
    # a filter leaves only a part of what is walked
    budget = int(min(np.float64(limits.postings) * n_docs / max(allowed.total, 1), 4e18))
    for q in range(first, last):
        count = load_query(queries, q, lists, scratch)
        if count == 0:
            continue
        total = 0
        for i in range(count):
            total += list_length(lists, terms.numbers[i])
        way = choose_way(
            limits,
            count=count,
            k=k,
            n_docs=n_docs,
            n_allowed=allowed.total,
            total=total,
            budget=budget,
            windows=windows,
        )
        scale = scale_bounds(terms, count=count)
        # a score is rounded once for each of its products: what a bound must reach is lower by as much
        to_bound = scale * (1.0 - 6e-8 * (count + 16))
        slack = most_too_large(terms, count=count, scale=scale)
        size = 0
        reach = 0.0
        if way == WALK_HEAVY:
            kept = walk_heavy(
                *(lists, count, budget, limits.candidates, scale, allowed, scratch),
            )
            size = score_candidates(
                *(rows, scratch.found, 0, kept, -1.0, to_bound, scratch.query, scratch.best, hits, q, size),
            )
            if size < enough:
                way = WALK_ALL  # fewer hits than asked for: the entries left out may hold more
        elif way == WALK_ALL and total > WORTH_A_GUESS:
            scored = worth_scoring(total, k=k)
            few = min(limits.candidates, 2 * k) if scored else k
            kept = walk_heavy(
                *(lists, count, min(total // 8, GUESS), few, scale, allowed, scratch),
            )
            reach = reach_of_guess(
                *(rows, scratch.found, kept, scored, slack, scale, to_bound),
                *(scratch.query, scratch.best, hits, q),
            )
        if way == WALK_ALL:
            allowance = SPARE / (1.0 + 0.005 * k) * reach if total > WORTH_CUTTING else 0.0
            missing = cut_lists(lists, terms, count, allowance)
            missing = np.ceil(missing * scale) if missing > 0.0 else 0.0
            size = walk_all(
                *(lists, rows, count, reach, missing, slack, scale, to_bound, allowed, scratch, hits, q),
            )
        elif way == READ_ALL:
            size = read_all_rows(rows, allowed, scratch.query, scratch.best, hits, q)
        write_ranking(scratch.best, size=size, hits=hits, q=q)
        clear_query(scratch.query, terms, count=count)
