"""Twins of kernels/block_search.py."""

from __future__ import annotations

import itertools

import numpy as np

from tests.oracle.kernels import accumulate, candidates, heap, plan, visit


def load_terms(queries, q, blocks, scratch):
    entries = range(queries.offsets[q], queries.offsets[q + 1])
    known = [(plan.find_term(blocks.number_of, blocks.term_ids, queries.terms[j]), j) for j in entries]
    known = [(t, queries.weights[j]) for t, j in known if t >= 0]
    pairs = [(t, np.float64(weight) * np.float64(blocks.scales[t])) for t, weight in known]
    for t, weight in known:
        plan.put_term(scratch.query, t, weight)
    for i, (t, factor) in enumerate(sorted(pairs, key=lambda pair: -pair[1])):
        scratch.terms.numbers[i], scratch.terms.factors[i] = t, factor
    return len(known)


def count_entries(blocks, count, scratch):
    return int(np.diff(blocks.starts)[scratch.terms.numbers[:count]].sum())


def wanted_blocks(budget, blocks, total):
    return int(np.clip(budget * blocks.n_blocks / max(total, 1), 1, blocks.n_blocks))


def _running(values):
    return list(itertools.accumulate(values.tolist()))


def set_multipliers(count, scratch):
    terms = scratch.terms
    mass = (_running(terms.factors[:count] * 255.0) or [0.0])[-1]
    scale = (65_000.0 - 2.0 * count) / max(mass, 1e-300)
    terms.multipliers[:count] = (terms.factors[:count] * scale * 256.0).astype(np.int64) + 1
    return scale


def heaviest_terms(count, share, scratch):
    sums = np.array(_running(scratch.terms.factors[:count]))
    return min(count, int((sums < share * sums[-1]).sum()) + 1) if count else 0


def ranking_terms(way, count, scratch):
    return heaviest_terms(count, 0.9, scratch) if way == 2 else count


def left_out(blocks, count, scratch):
    numbers = scratch.terms.numbers[:count]
    products = scratch.query.table[numbers].astype(np.float64) * blocks.rests[numbers].astype(np.float64)
    return (_running(products) or [0.0])[-1]


def cheapest_way(limits, count, k, n_docs, n_allowed, total, wanted, rest):
    """The cheapest of three; where costs are equal, the one that visits all."""
    costs = {
        1: np.inf if rest > 0 and not limits.exact else 10_000.0 + 0.35 * total + 250.0 * k,
        2: np.inf if limits.exact else 10_000.0 + 5.0 * count * wanted + 250.0 * limits.candidates,
        0: 60.0 * n_allowed + 0.1 * n_docs,
    }
    return 0 if count > 8192 else min((1, 2, 0), key=lambda way: costs[way])


def best_sums(blocks, some, count, wanted, allowed, scratch):
    threshold = visit.least_of_largest(scratch.bounds, blocks.n_blocks, some)
    visited = visit.choose_blocks(blocks, threshold, scratch)
    n = visit.visit_blocks(blocks, 0, visited, count, scratch)
    visit.drop_forbidden(blocks, 0, visited * visit.BLOCK, allowed, scratch)
    threshold = max(1, visit.least_of_largest(scratch.sums, n, wanted))
    kept = visit.take_sums(blocks, 0, n, threshold, 0, scratch)
    if kept > wanted:
        accumulate.keep_largest(scratch.found, kept, wanted)
    return min(kept, wanted)


def score_all(blocks, rows, count, reach, missing, slack, scale, to_bound, allowed, scratch, hits, q):
    return candidates.keep_best(rows, allowed, scratch.query, scratch.best, hits.docs.shape[1])


def search_blocks(first, last, limits, queries, blocks, rows, allowed, scratch, hits):
    n_docs, k = len(rows.offsets) - 1, hits.docs.shape[1]
    budget = float(limits.postings) * n_docs / max(allowed.total, 1)
    for q in range(first, last):
        count = load_terms(queries, q, blocks, scratch)
        if count == 0:
            continue
        total = count_entries(blocks, count, scratch)
        wanted = wanted_blocks(budget, blocks, total)
        rest = left_out(blocks, count, scratch)
        way = cheapest_way(limits, count, k, n_docs, allowed.total, total, wanted, rest)
        set_multipliers(count, scratch)
        size = 0
        if way == 2:
            visit.bound_blocks(blocks, ranking_terms(way, count, scratch), scratch)
            visit.clear_blocks(blocks, allowed, scratch)
            heavy = heaviest_terms(count, 0.85, scratch)
            kept = best_sums(blocks, wanted, heavy, limits.candidates, allowed, scratch)
            given = (rows, scratch.found, 0, kept, -1.0, 0.0, scratch.query, scratch.best, hits, q, 0)
            size = candidates.score_candidates(*given)
        if size < min(k, allowed.total):
            size = candidates.keep_best(rows, allowed, scratch.query, scratch.best, k)
        heap.write_ranking(scratch.best, size, hits, q)
        plan.clear_query(scratch.query, scratch.terms, count)
