"""What to read for a query: which lists, and down to which code."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined, prefetch

CEILING = 65535.0  # scores are bounded in 16 bits
MOST_TERMS = (
    8192  # more would leave the bounds too little room; such a query is answered by reading every document
)


@inlined
def find_term(term: Any, number_of: Any, term_ids: Any) -> Any:
    """The segment's number of a term, or -1: by table, or by bisection in a huge vocabulary."""
    if len(number_of) > 0:
        return np.int64(number_of[np.uint64(term)])
    low, high = np.int64(0), np.int64(len(term_ids))
    while low < high:
        middle = (low + high) >> 1
        if np.int64(term_ids[middle]) < term:
            low = middle + 1
        else:
            high = middle
    if low < len(term_ids) and np.int64(term_ids[low]) == term:
        return low
    return np.int64(-1)


@inlined
def load_query(
    begin: Any,
    end: Any,
    q_terms: Any,
    q_weights: Any,
    number_of: Any,
    term_ids: Any,
    windows: Any,
    n_levels: Any,
    list_offsets: Any,
    list_levels: Any,
    list_scales: Any,
    table: Any,
    lists: Any,
    factors: Any,
    priorities: Any,
) -> Any:
    """Translate a query's terms to list numbers, put its weights into the table; returns how many are known.

    factors[i] = weight * scale: what one code of list i adds to a score. priorities[i] = that over the fourth
    root of the list's length: what walking one code of it is worth. An entry of a rare term says more about
    who is among the best (recall of 100 candidates from 20,000 entries of wikipedia passages: .949 by impact
    alone, .962 with the fifth root, .958 with the third; splade-like, 60,000 entries: .935, .974, .983).
    """
    count = np.int64(0)
    for j in range(begin, end):
        t = find_term(np.int64(q_terms[j]), number_of, term_ids)
        if t >= 0:
            lists[count] = t
            factors[count] = q_weights[j]
            table[np.uint64(t)] = q_weights[j]
            prefetch(list_offsets, t * windows)
            prefetch(list_levels, t * n_levels)
            prefetch(list_scales, t)
            count += 1
    for i in range(count):
        factors[i] *= np.float64(list_scales[lists[i]])
        length = list_offsets[(lists[i] + 1) * windows] - list_offsets[lists[i] * windows]
        priorities[i] = factors[i] / np.sqrt(np.sqrt(np.float64(max(length, 1))))
    return count


@inlined
def impact_threshold(
    count: Any,
    lists: Any,
    priorities: Any,
    budget: Any,
    windows: Any,
    offsets: Any,
    levels: Any,
    n_levels: Any,
    histogram: Any,
) -> Any:
    """The priority x code from which on the lists hold about `budget` entries.

    The stored codes at ranks 64, 128, ... of every list give how many entries lie between two such values;
    they go into a histogram, which is read from the top until the budget is used up.
    """
    highest = 0.0
    for i in range(count):
        highest = max(highest, priorities[i] * 255.0)
    buckets = len(histogram)
    for b in range(buckets):
        histogram[b] = 0.0
    to_bucket = (buckets - 1) / highest
    for i in range(count):
        row = lists[i] * n_levels
        length = np.float64(offsets[(lists[i] + 1) * windows] - offsets[lists[i] * windows])
        unit = priorities[i] * to_bucket
        before_code, before_rank = 255.0, 0.0
        for level in range(n_levels + 1):
            rank = length if level == n_levels else min(np.float64(np.int64(64) << level), length)
            code = 0.0 if rank >= length else np.float64(levels[row + level])
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


@inlined
def cheapest_cut(row: Any, n_levels: Any, length: Any, price: Any, levels: Any) -> Any:
    """The code from which on a list is worth reading, if leaving entries out costs `price` entries per code.

    Leaving out all entries of code c or less may cost a document c codes of its bound, and saves the rest of
    the list. 1 means reading all of it, 256 nothing.
    """
    best, lowest = 0.0, np.int64(1)
    saved = length - price * 255.0
    if saved > best:
        best, lowest = saved, np.int64(256)
    for level in range(n_levels):
        rank = np.float64(np.int64(64) << level)
        if rank >= length:
            break
        code = np.int64(levels[row + level])
        saved = (length - rank) - price * code
        if saved > best:
            best, lowest = saved, code + 1
    return lowest


@inlined
def cut_lists(
    count: Any,
    lists: Any,
    factors: Any,
    allowance: Any,
    windows: Any,
    offsets: Any,
    levels: Any,
    n_levels: Any,
    lowest: Any,
) -> Any:
    """Choose where to stop reading each list, so that a document misses at most `allowance` of its bound.

    Of all ways to spend the allowance the one that leaves out the most entries: one price per unit of bound
    for all lists, found by bisection. Returns what a document can miss at most.
    """
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
            t = lists[i]
            length = np.float64(offsets[(t + 1) * windows] - offsets[t * windows])
            spent += factors[i] * (
                cheapest_cut(t * n_levels, n_levels, length, price * factors[i], levels) - 1.0
            )
        if spent > allowance:
            low = middle
        else:
            high = middle
    price = 2.0**high
    spent = 0.0
    for i in range(count):
        t = lists[i]
        length = np.float64(offsets[(t + 1) * windows] - offsets[t * windows])
        lowest[i] = cheapest_cut(t * n_levels, n_levels, length, price * factors[i], levels)
        spent += factors[i] * (lowest[i] - 1.0)
    if spent > allowance:  # out of the range of prices
        for i in range(count):
            lowest[i] = 1
        spent = 0.0
    return spent
