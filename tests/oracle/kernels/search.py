"""Twins of kernels/search.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import candidates, heap, plan, walk


def choose_way(limits, count, k, n_docs, n_allowed, total, budget, windows):
    """The cheapest of three; where costs are equal, the one that walks less."""
    costs = {
        0: 60.0 * n_allowed + 0.1 * n_docs,
        1: 15_000.0 + 0.35 * total + 1_200.0 * windows + 250.0 * k,
        2: np.inf if limits.exact else 17_000.0 + budget + 250.0 * limits.candidates,
    }
    return 0 if count > 8192 else min((1, 2, 0), key=lambda way: costs[way])


def read_all_rows(rows, allowed, query, best, hits, q):
    hits.scored[q] += allowed.total
    return candidates.keep_best(rows, allowed, query, best, hits.docs.shape[1])


def search_queries(first, last, limits, queries, lists, rows, allowed, scratch, hits):
    n_docs, k, terms = len(rows.offsets) - 1, hits.docs.shape[1], scratch.terms
    budget = int(limits.postings * n_docs / max(allowed.total, 1))
    for q in range(first, last):
        count = plan.load_query(queries, q, lists, scratch)
        if count == 0:
            continue
        total = sum(plan.list_length(lists, t) for t in terms.numbers[:count])
        scale = plan.scale_bounds(terms, count)
        way = choose_way(limits, count, k, n_docs, allowed.total, total, budget, lists.windows)
        size = 0
        if way == 2:
            kept = walk.walk_heavy(lists, count, budget, limits.candidates, scale, allowed, scratch)
            arguments = (rows, scratch.found, 0, kept, -1.0, 0.0, scratch.query, scratch.best, hits, q, 0)
            size = candidates.score_candidates(*arguments)
        if size < min(k, allowed.total):
            size = candidates.keep_best(rows, allowed, scratch.query, scratch.best, k)
        heap.write_ranking(scratch.best, size, hits, q)
        plan.clear_query(scratch.query, terms, count)
