"""Searching blocks of alike documents: bound all of them, visit the most promising, score the best in full.

Approximate: the blocks with the largest bounds are visited, as many as hold about `budget` of the query's
list entries. Visiting one adds up the lists of the query's heaviest terms for its documents; those of the
`wanted` largest sums are scored in full. Exact: every block is visited whose bound reaches the k-th best
score, with all lists, and every document scored whose sum does. (Block-max pruning: Mallia and others, SIGIR
2024; blocks of alike documents and their summaries: Bruch and others, "Seismic", SIGIR 2024.)
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.accumulate import keep_largest, next_bound
from splade_engine.index.kernels.candidates import (
    make_room,
    most_waiting,
    needed,
    reach_of_guess,
    score_best_first,
    score_candidates,
    worth_scoring,
)
from splade_engine.index.kernels.dtypes import f8, i8
from splade_engine.index.kernels.groups import Allowed, Blocks, BlockScratch, Hits, Limits, Queries, Rows
from splade_engine.index.kernels.heap import write_ranking
from splade_engine.index.kernels.jit import helper, kernel, prefetch
from splade_engine.index.kernels.plan import MOST_TERMS, clear_query, find_term, most_too_large, put_term
from splade_engine.index.kernels.search import read_all_rows
from splade_engine.index.kernels.visit import (
    VISIT,
    bound_blocks,
    choose_blocks,
    clear_blocks,
    drop_forbidden,
    least_of_largest,
    take_sums,
    visit_blocks,
)

READ_ALL, VISIT_ALL, VISIT_BEST = 0, 1, 2
# sums are counted in 16 bits, and so is a multiplier
CEILING = 65_000.0
# the part of a query's largest possible score whose terms are added up in visited blocks: lighter ones cost
# as much, and rarely decide who is scored
MASS = 0.85
# the same of the terms by which an approximate search ranks blocks: 13 % less time at recall .95 than by all
RANKING_MASS = 0.9
WORTH_A_GUESS = 64  # blocks from which an exact search starts with an approximate one


@helper
def load_terms(queries: Queries, q: i8, blocks: Blocks, scratch: BlockScratch) -> i8:
    """Look up the lists of query q's terms, put its weights into the table; returns how many are known.

    The terms are ordered by what they can add to a score, factors[i] * 255, largest first.
    """
    numbers, factors = scratch.terms.numbers, scratch.terms.factors
    count = 0
    for j in range(queries.offsets[q], queries.offsets[q + 1]):
        t = find_term(blocks.number_of, blocks.term_ids, int(queries.terms[j]))
        if t >= 0:
            numbers[count] = t
            factors[count] = queries.weights[j]
            put_term(scratch.query, t, weight=queries.weights[j])
            prefetch(blocks.scales, t)
            prefetch(blocks.columns, t)
            prefetch(blocks.starts, t)
            prefetch(blocks.head_starts, t)
            count += 1
    for i in range(count):
        t, factor = numbers[i], factors[i] * np.float64(blocks.scales[np.uint64(numbers[i])])
        at = i
        while at > 0 and factors[at - 1] < factor:
            numbers[at], factors[at] = numbers[at - 1], factors[at - 1]
            at -= 1
        numbers[at], factors[at] = t, factor
    return count


@helper
def count_entries(blocks: Blocks, count: i8, scratch: BlockScratch) -> i8:
    """How many entries the lists of the query have together."""
    total = 0
    for i in range(count):
        t = scratch.terms.numbers[i]
        total += int(blocks.starts[t + 1] - blocks.starts[t])
    return total


@helper
def wanted_blocks(budget: f8, blocks: Blocks, total: i8) -> i8:
    """How many blocks hold about `budget` of the query's `total` entries: 1 at least."""
    share = budget * blocks.n_blocks / max(total, 1)
    return int(min(max(share, 1.0), np.float64(blocks.n_blocks)))


@helper
def set_multipliers(count: i8, scratch: BlockScratch) -> f8:
    """Scale the query so that no sum is beyond 16 bits; returns the units of a sum that make a score of 1."""
    terms = scratch.terms
    mass = 0.0
    for i in range(count):
        mass += terms.factors[i] * 255.0
    scale = (CEILING - 2.0 * count) / max(mass, 1e-300)
    for i in range(count):
        terms.multipliers[i] = np.int64(terms.factors[i] * scale * 256.0) + 1
    return scale


@helper
def heaviest_terms(count: i8, share: f8, scratch: BlockScratch) -> i8:
    """How many of the terms, heaviest first, make up this share of all that they can add to a score."""
    factors = scratch.terms.factors
    mass = 0.0
    for i in range(count):
        mass += factors[i]
    kept = 0.0
    for i in range(count):
        kept += factors[i]
        if kept >= share * mass:
            return i + 1
    return count


@helper
def ranking_terms(way: i8, count: i8, scratch: BlockScratch) -> i8:
    """How many terms, heaviest first, blocks are ranked by: all where a bound must be one."""
    if way == VISIT_BEST:
        return heaviest_terms(count, share=RANKING_MASS, scratch=scratch)
    return count


@helper
def left_out(blocks: Blocks, count: i8, scratch: BlockScratch) -> f8:
    """The score that a document may have at most by what the lists of the query leave out."""
    most = 0.0
    for i in range(count):
        t = np.uint64(scratch.terms.numbers[i])
        most += np.float64(scratch.query.table[t]) * np.float64(blocks.rests[t])
    return most


@helper
def cheapest_way(
    limits: Limits, count: i8, k: i8, n_docs: i8, n_allowed: i8, total: i8, wanted: i8, rest: f8
) -> i8:
    """The cheapest way to an answer, by nanoseconds (first guesses).

    Lists that leave something out (`rest` above 0) bound little: an exact answer scores most documents.
    """
    if count > MOST_TERMS:
        return READ_ALL
    read_all = 60.0 * n_allowed + 0.1 * n_docs
    visit_all = 10_000.0 + 0.35 * total + 250.0 * k
    visit_best = 10_000.0 + 5.0 * count * wanted + 250.0 * limits.candidates
    if limits.exact or (rest == 0.0 and visit_all <= visit_best):
        return READ_ALL if read_all < visit_all else VISIT_ALL
    return READ_ALL if read_all < visit_best else VISIT_BEST


@helper
def best_sums(blocks: Blocks, some: i8, count: i8, wanted: i8, allowed: Allowed, scratch: BlockScratch) -> i8:
    """Candidates: the `wanted` documents of the largest sums of `count` lists in the `some` best blocks."""
    threshold = least_of_largest(scratch.bounds, n=blocks.n_blocks, wanted=some)
    visited = choose_blocks(blocks, threshold=threshold, scratch=scratch)
    kept = 0
    least = np.uint16(1)
    for begin in range(0, visited, VISIT):
        n = visit_blocks(
            *(blocks, begin, min(begin + VISIT, visited), count, scratch),
        )
        drop_forbidden(blocks, begin=begin, n=n, allowed=allowed, scratch=scratch)
        threshold = least_of_largest(scratch.sums, n=n, wanted=wanted)
        threshold = threshold if threshold > least else least
        kept = take_sums(blocks, begin=begin, n=n, threshold=threshold, count=kept, scratch=scratch)
        if kept > wanted:
            least = next_bound(keep_largest(scratch.found, count=kept, wanted=wanted))
            kept = wanted
    return kept


@helper
def score_all(
    blocks: Blocks,
    rows: Rows,
    count: i8,
    reach: f8,
    missing: f8,
    slack: f8,
    scale: f8,
    to_bound: f8,
    allowed: Allowed,
    scratch: BlockScratch,
    hits: Hits,
    q: i8,
) -> i8:
    """Exact search, given a score that the k-th best document reaches; returns the number of hits.

    A sum may be too small by up to `missing`, and too large by up to `slack`.
    """
    found = scratch.found
    most = most_waiting(hits.scores.shape[1])
    size, kept = 0, 0
    visited = choose_blocks(blocks, threshold=needed(reach * to_bound - missing), scratch=scratch)
    for begin in range(0, visited, VISIT):
        n = visit_blocks(
            *(blocks, begin, min(begin + VISIT, visited), count, scratch),
        )
        drop_forbidden(blocks, begin=begin, n=n, allowed=allowed, scratch=scratch)
        least = needed(reach * to_bound - missing)
        kept = take_sums(blocks, begin=begin, n=n, threshold=least, count=kept, scratch=scratch)
        if kept > most:
            kept, size, reach = make_room(
                *(rows, found, kept, most, reach, missing, slack, scale, to_bound),
                *(scratch.query, scratch.best, hits, q, size),
            )
    return score_best_first(
        *(rows, found, kept, missing, to_bound, scratch.query, scratch.best, hits, q, size),
    )


@kernel
def search_blocks(
    first: i8,
    last: i8,
    limits: Limits,
    queries: Queries,
    blocks: Blocks,
    rows: Rows,
    allowed: Allowed,
    scratch: BlockScratch,
    hits: Hits,
) -> None:
    """Answer queries first..last-1 of a batch."""
    n_docs = len(rows.offsets) - 1
    k = hits.docs.shape[1]
    enough = min(k, allowed.total)
    terms = scratch.terms
    # a filter leaves only a part of what is visited
    budget = np.float64(limits.postings) * n_docs / max(allowed.total, 1)
    for q in range(first, last):
        count = load_terms(queries, q, blocks, scratch)
        if count == 0:
            continue
        total = count_entries(blocks, count=count, scratch=scratch)
        wanted = wanted_blocks(budget, blocks=blocks, total=total)
        rest = left_out(blocks, count=count, scratch=scratch)
        way = cheapest_way(
            *(limits, count, k, n_docs, allowed.total, total, wanted, rest),
        )
        scale = set_multipliers(count, scratch=scratch)
        # a score is rounded once for each of its products: what a bound must reach is lower by as much
        to_bound = scale * (1.0 - 6e-8 * (count + 16))
        rest *= scale
        missing = np.float64(count) + rest
        slack = most_too_large(terms, count=count, scale=scale)
        size, reach = 0, 0.0
        if way != READ_ALL:
            ranking = ranking_terms(way, count=count, scratch=scratch)
            bound_blocks(blocks, count=ranking, scratch=scratch)
            clear_blocks(blocks, allowed=allowed, scratch=scratch)
        if way == VISIT_BEST:
            heavy = heaviest_terms(count, share=MASS, scratch=scratch)
            kept = best_sums(
                *(blocks, wanted, heavy, limits.candidates, allowed, scratch),
            )
            size = score_candidates(
                *(rows, scratch.found, 0, kept, -1.0, to_bound, scratch.query, scratch.best, hits, q, size),
            )
            if size < enough:  # fewer hits than asked for: other blocks may hold more
                way = VISIT_ALL
                bound_blocks(blocks, count=count, scratch=scratch)  # by all terms now: none may be missed
                clear_blocks(blocks, allowed=allowed, scratch=scratch)
        elif way == VISIT_ALL and (blocks.n_blocks > WORTH_A_GUESS or rest > 0.0):
            scored = worth_scoring(total, k=k)
            few = min(limits.candidates, 2 * k) if scored else k
            heavy = heaviest_terms(count, share=MASS, scratch=scratch) if scored else count
            kept = best_sums(
                *(blocks, min(wanted, 4 * k), heavy, few, allowed, scratch),
            )
            reach = reach_of_guess(
                *(rows, scratch.found, kept, scored, slack, scale, to_bound),
                *(scratch.query, scratch.best, hits, q),
            )
        if way == VISIT_ALL and rest > 0.0 and reach * to_bound - missing < 1.0:
            way = READ_ALL  # a document that stands in none of the lists may be a hit
        if way == VISIT_ALL:
            size = score_all(
                *(blocks, rows, count, reach, missing, slack, scale, to_bound, allowed, scratch, hits, q),
            )
        elif way == READ_ALL:
            size = read_all_rows(rows, allowed, scratch.query, scratch.best, hits, q)
        write_ranking(scratch.best, size=size, hits=hits, q=q)
        clear_query(scratch.query, terms, count=count)
