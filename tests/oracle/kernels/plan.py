"""Twins of kernels/plan.py."""

from __future__ import annotations

import itertools

import numpy as np

from tests.oracle.kernels import sieve


def find_term(number_of, term_ids, term):
    places = np.flatnonzero(term_ids == term)
    return int(places[0]) if len(places) else -1


def put_term(query, t, weight):
    query.table[t] = weight
    sieve.add_to_sieve(query.sieve, t)


def clear_query(query, terms, count):
    for array in query:
        array[:] = 0


def list_length(lists, t):
    return int(lists.offsets.reshape(-1)[(t + 1) * lists.windows] - lists.offsets[t * lists.windows])


def load_query(queries, q, lists, scratch):
    entries = range(queries.offsets[q], queries.offsets[q + 1])
    known = [
        (find_term(lists.number_of, lists.term_ids, queries.terms[j]), queries.weights[j]) for j in entries
    ]
    known = [(t, weight) for t, weight in known if t >= 0]
    for i, (t, weight) in enumerate(known):
        put_term(scratch.query, t, weight)
        factor = np.float64(weight) * np.float64(lists.scales[t])
        scratch.terms.numbers[i], scratch.terms.factors[i] = t, factor
        scratch.terms.priorities[i] = factor / np.sqrt(np.sqrt(max(list_length(lists, t), 1)))
    return len(known)


def scale_bounds(terms, count):
    factors = terms.factors[:count]
    scale = (65535.0 - 2.0 * count - 1.0) / max(
        [0.0, *itertools.accumulate((factors * 255.0).tolist())][-1], 1e-300
    )
    terms.multipliers[:count] = (factors * scale * 256.0).astype(np.int64) + 1
    return scale


def most_too_large(terms, count, scale):
    return sum((terms.factors[:count] * scale).tolist(), 2.0 * count)


def _steps(lists, t):
    """(rank, code) where a list begins, at each level, and where it ends."""
    length = list_length(lists, t)
    levels = lists.levels[t * lists.n_levels : (t + 1) * lists.n_levels].tolist()
    inside = [(64 << i, code) for i, code in enumerate(levels) if 64 << i < length]
    return [(0, 255), *inside, (length, 0)]


def impact_threshold(lists, terms, count, budget, histogram):
    """Half of a step's entries lie a quarter from each of its ends; buckets are used from the top."""
    priorities = terms.priorities[:count]
    to_bucket = (len(histogram) - 1) / (priorities * 255.0).max()
    histogram[:] = 0
    for t, priority in zip(terms.numbers[:count], priorities, strict=True):
        steps = _steps(lists, t)
        for (rank, high), (next_rank, low) in itertools.pairwise(steps):
            for code in (low + 0.25 * (high - low), high - 0.25 * (high - low)):
                histogram[int(code * (priority * to_bucket))] += 0.5 * (next_rank - rank)
    left = budget - np.cumsum(histogram[:0:-1])
    return (len(histogram) - 1 - int((left > 0).sum() if (left <= 0).any() else len(left))) / to_bucket


def cheapest_cut(lists, t, price):
    """Of all codes from which a list may be read, the first that saves most."""
    length = list_length(lists, t)
    choices = [(0.0, 1), (length - price * 255.0, 256)]
    choices += [((length - rank) - price * code, code + 1) for rank, code in _steps(lists, t)[1:-1]]
    saved = [choice[0] for choice in choices]
    return choices[int(np.argmax(saved))][1]


def cut_lists(lists, terms, count, allowance):
    """The lowest of the 1,024 prices 2^-20 to 2^40 at which no more than the allowance is spent."""
    numbers, factors = terms.numbers[:count], terms.factors[:count]
    terms.lowest[:count] = 1
    if allowance <= 0:
        return 0.0

    def cuts(exponent):
        price = 2.0**exponent
        return [cheapest_cut(lists, t, price * factor) for t, factor in zip(numbers, factors, strict=True)]

    def spent(lowest):
        return sum(factor * (code - 1.0) for factor, code in zip(factors, lowest, strict=True))

    low, high = -20.0, 40.0
    for _ in range(10):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if spent(cuts(middle)) > allowance else (low, middle)
    if spent(cuts(high)) > allowance:
        return 0.0
    terms.lowest[:count] = cuts(high)
    return spent(cuts(high))
