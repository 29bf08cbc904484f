"""The search loops: walk lists window by window, score the promising documents in full, keep the best k.

Approximate: only the `budget` entries of the largest impact (query weight x document weight, more for rare
    terms: `plan.load_query`) are walked, wherever they lie; the `wanted` documents with the largest partial
    sums are scored in full. Exact: all entries are walked; their sums are upper bounds, and every document
    whose bound reaches the k-th best score is scored.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.dtypes import f4_r, i8
from splade_engine.index.kernels.groups import Allowed, Hits, Limits, Lists, Queries, Rows, Scratch
from splade_engine.index.kernels.heap import push, sort_best_first
from splade_engine.index.kernels.jit import helper, kernel
from splade_engine.index.kernels.plan import MOST_TERMS, cut_lists, list_length, load_query, scale_bounds
from splade_engine.index.kernels.score import score_row
from splade_engine.index.kernels.walk import score_candidates, walk_all, walk_heavy

READ_ALL, WALK_ALL, WALK_HEAVY = 0, 1, 2
# entries from which an exact search starts with an approximate one: without a score that others must reach it
# would collect every document of the first window (600 us more)
WORTH_A_GUESS = 200
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
    walk_heavy = 17_000.0 + 1.0 * budget + 150.0 * limits.candidates
    if limits.exact or walk_all <= walk_heavy:
        return READ_ALL if read_all < walk_all else WALK_ALL
    return READ_ALL if read_all < walk_heavy else WALK_HEAVY


@helper
def read_all_rows(rows: Rows, allowed: Allowed, table: f4_r, hits: Hits, q: i8) -> i8:
    """Score every document that may be returned; returns the number of hits."""
    size = 0
    for d in range(len(rows.offsets) - 1):
        if len(allowed.mask) == 0 or allowed.mask[d]:
            score = score_row(rows, d, table)
            hits.scored[q] += 1
            if score > np.float32(0.0):
                size = push(hits, q=q, size=size, score=score, doc=d)
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
        size = 0
        reach = np.float32(0.0)
        if way == WALK_HEAVY or (way == WALK_ALL and total > WORTH_A_GUESS):
            # before an exact search as well, with little effort: it tells what score the others must reach
            some = budget if way == WALK_HEAVY else min(total // 8, 5000)
            few = limits.candidates if way == WALK_HEAVY else min(limits.candidates, 2 * k)
            kept = walk_heavy(
                lists, count=count, budget=some, wanted=few, scale=scale, allowed=allowed, scratch=scratch
            )
            size = score_candidates(
                *(rows, scratch.found, 0, kept, -1.0, to_bound, scratch.table, hits, q, size),
            )
            if size == k:
                reach = hits.scores[q, 0]
            if size < enough:
                way = WALK_ALL  # fewer hits than asked for: the entries left out may hold more
        if way == WALK_ALL:
            allowance = SPARE / (1.0 + 0.005 * k) * np.float64(reach) if total > WORTH_CUTTING else 0.0
            missing = cut_lists(lists, terms, count, allowance)
            missing = np.ceil(missing * scale) if missing > 0.0 else 0.0
            size = walk_all(
                *(lists, rows, count, reach, missing, to_bound, allowed, scratch, hits, q),
            )
            for rank in range(size, k):
                hits.docs[q, rank], hits.scores[q, rank] = -1, -np.inf
        elif way == READ_ALL:
            size = read_all_rows(rows, allowed, scratch.table, hits, q)
        sort_best_first(hits, q=q, size=size)
        for i in range(count):
            scratch.table[np.uint64(terms.numbers[i])] = np.float32(0.0)
