"""What to read for a query: which lists, and down to which code."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.dtypes import f4, f8, f8_w, i4_r, i8, u4_r
from splade_engine.index.kernels.groups import Lists, Queries, Query, Scratch, Terms
from splade_engine.index.kernels.jit import helper, prefetch
from splade_engine.index.kernels.sieve import SIEVE, add_to_sieve

CEILING = 65535.0  # scores are bounded in 16 bits
# more would leave the bounds too little room; such a query is answered by reading every document
MOST_TERMS = 8192


@helper
def find_term(number_of: i4_r, term_ids: u4_r, term: i8) -> i8:
    """The number of a term's list, or -1: by table, or by bisection in a huge vocabulary."""
    if len(number_of) > 0:
        return int(number_of[np.uint64(term)])
    low, high = 0, len(term_ids)
    while low < high:
        middle = (low + high) >> 1
        if np.int64(term_ids[middle]) < term:
            low = middle + 1
        else:
            high = middle
    if low < len(term_ids) and np.int64(term_ids[low]) == term:
        return low
    return -1


@helper
def put_term(query: Query, t: i8, weight: f4) -> None:
    """Give term number t this weight in a query."""
    query.table[np.uint64(t)] = weight
    add_to_sieve(query.sieve, t)


@helper
def clear_query(query: Query, terms: Terms, count: i8) -> None:
    """Make a query of these terms empty again."""
    for i in range(count):
        query.table[np.uint64(terms.numbers[i])] = np.float32(0.0)
    for i in range(np.uint64(SIEVE)):
        query.sieve[i] = np.uint16(0)


@helper
def list_length(lists: Lists, t: i8) -> i8:
    """How many entries list t has in all windows."""
    return int(lists.offsets[(t + 1) * lists.windows] - lists.offsets[t * lists.windows])


@helper
def load_query(queries: Queries, q: i8, lists: Lists, scratch: Scratch) -> i8:
    """Look up the lists of query q's terms, put its weights into the table; returns how many are known.

    factors[i] = weight * scale: what one code of list i adds to a score. priorities[i] = that over the fourth
    root of the list's length: what walking one code of it is worth. An entry of a rare term says more about
    who is among the best (recall of 100 candidates from 20,000 entries of wikipedia passages: .949 by impact
    alone, .962 with the fifth root, .958 with the third; splade-like, 60,000 entries: .935, .974, .983).
    """
    numbers, factors, priorities = scratch.terms.numbers, scratch.terms.factors, scratch.terms.priorities
    count = 0
    for j in range(queries.offsets[q], queries.offsets[q + 1]):
        t = find_term(lists.number_of, lists.term_ids, int(queries.terms[j]))
        if t >= 0:
            numbers[count] = t
            factors[count] = queries.weights[j]
            put_term(scratch.query, t, weight=queries.weights[j])
            prefetch(lists.offsets, t * lists.windows)
            prefetch(lists.levels, t * lists.n_levels)
            prefetch(lists.scales, t)
            count += 1
    for i in range(count):
        factors[i] *= np.float64(lists.scales[numbers[i]])
        length = list_length(lists, numbers[i])
        priorities[i] = factors[i] / np.sqrt(np.sqrt(np.float64(max(length, 1))))
    return count


@helper
def scale_bounds(terms: Terms, count: i8) -> f8:
    """Set the multipliers of the query's terms; returns the scale of bounds.

    Bounds are counted in units of 1 / scale, so that even the largest possible sum fits 16 bits.
    """
    mass = 0.0
    for i in range(count):
        mass += terms.factors[i] * 255.0
    scale = (CEILING - 2.0 * count - 1.0) / max(mass, 1e-300)
    for i in range(count):
        terms.multipliers[i] = np.int64(terms.factors[i] * scale * 256.0) + 1
    return scale


@helper
def most_too_large(terms: Terms, count: i8, scale: f8) -> f8:
    """By how much a sum of bounds is too large at most: a code for each term, which was rounded up, and 2."""
    slack = 2.0 * count
    for i in range(count):
        slack += terms.factors[i] * scale
    return slack


@helper
def impact_threshold(lists: Lists, terms: Terms, count: i8, budget: i8, histogram: f8_w) -> f8:
    """The priority x code from which on the lists hold about `budget` entries.

    The stored codes at ranks 64, 128, ... of every list give how many entries lie between two such values;
    they go into a histogram, which is read from the top until the budget is used up.
    """
    highest = 0.0
    for i in range(count):
        highest = max(highest, terms.priorities[i] * 255.0)
    buckets = len(histogram)
    for b in range(buckets):
        histogram[b] = 0.0
    to_bucket = (buckets - 1) / highest
    n_levels = lists.n_levels
    for i in range(count):
        row = terms.numbers[i] * n_levels
        length = np.float64(list_length(lists, terms.numbers[i]))
        unit = terms.priorities[i] * to_bucket
        before_code, before_rank = 255.0, 0.0
        for level in range(n_levels + 1):
            rank = length if level == n_levels else min(np.float64(np.int64(64) << level), length)
            code = 0.0 if rank >= length else np.float64(lists.levels[row + level])
            half = 0.5 * (rank - before_rank)
            step = 0.25 * (before_code - code)
            histogram[np.int64((code + step) * unit)] += half
            histogram[np.int64((before_code - step) * unit)] += half
            if rank >= length:
                break
            before_code, before_rank = code, rank
    left = np.float64(budget)
    b = buckets - 1
    while b > 0 and left > histogram[b]:
        left -= histogram[b]
        b -= 1
    return np.float64(b) / to_bucket


@helper
def cheapest_cut(lists: Lists, t: i8, price: f8) -> i8:
    """The code from which on list t is worth reading, if leaving entries out costs `price` entries per code.

    Leaving out all entries of code c or less may cost a document c codes of its bound, and saves the rest of
    the list. 1 means reading all of it, 256 nothing.
    """
    length = np.float64(list_length(lists, t))
    best, lowest = 0.0, 1
    saved = length - price * 255.0
    if saved > best:
        best, lowest = saved, 256
    for level in range(lists.n_levels):
        rank = np.float64(np.int64(64) << level)
        if rank >= length:
            break
        code = int(lists.levels[t * lists.n_levels + level])
        saved = (length - rank) - price * code
        if saved > best:
            best, lowest = saved, code + 1
    return lowest


@helper
def cut_lists(lists: Lists, terms: Terms, count: i8, allowance: f8) -> f8:
    """Choose where to stop reading each list, so that a document misses at most `allowance` of its bound.

    Of all ways to spend the allowance the one that leaves out the most entries: one price per unit of bound
    for all lists, found by bisection. Returns what a document can miss at most.
    """
    numbers, factors, lowest = terms.numbers, terms.factors, terms.lowest
    for i in range(count):
        lowest[i] = 1
    if allowance <= 0.0:
        return 0.0
    low, high = -20.0, 40.0  # log2 of the price
    for _ in range(10):
        middle = 0.5 * (low + high)
        price = 2.0**middle
        spent = 0.0
        for i in range(count):
            spent += factors[i] * (cheapest_cut(lists, numbers[i], price * factors[i]) - 1.0)
        if spent > allowance:
            low = middle
        else:
            high = middle
    price = 2.0**high
    spent = 0.0
    for i in range(count):
        lowest[i] = cheapest_cut(lists, numbers[i], price * factors[i])
        spent += factors[i] * (lowest[i] - 1.0)
    if spent > allowance:  # out of the range of prices
        for i in range(count):
            lowest[i] = 1
        spent = 0.0
    return spent
