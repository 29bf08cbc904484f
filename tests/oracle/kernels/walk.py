"""Twins of kernels/walk.py: sums of all documents at once, and ranking by sorting."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels import accumulate, plan
from tests.oracle.kernels.candidates import keep_best, may


def collect_heavy(lists, active, count, wanted, floor, allowed, scratch):
    """By falling sum, among equals in the order in which windows and lists are walked."""
    docs, sums = [], []
    for w in range(lists.windows):
        bounds = np.zeros(lists.window, np.uint16)
        touched = []
        for i in range(count):
            at = active.numbers[i] * lists.windows + w
            lowest, multiplier = active.lowest[i], active.multipliers[i]
            accumulate.add_heavy_entries(lists, at, lowest, multiplier, bounds)
            entries, codes = accumulate.part(lists, at)
            touched += entries[codes >= lowest].tolist()
        first_seen = list(dict.fromkeys(touched))
        docs += [w * lists.window + d for d in first_seen]
        sums += bounds[first_seen].tolist() if first_seen else []
    docs, sums = np.array(docs, int), np.array(sums, int)
    good = (sums >= floor) & may(allowed, docs)
    docs, sums = docs[good], sums[good]
    best = np.sort(np.lexsort((np.arange(len(docs)), -sums))[:wanted])
    scratch.found.docs[: len(best)], scratch.found.bounds[: len(best)] = docs[best], sums[best]
    return len(best)


def walk_heavy(lists, count, budget, wanted, scale, allowed, scratch):
    terms, active = scratch.terms, scratch.active
    threshold = plan.impact_threshold(lists, terms, count, budget, scratch.histogram)
    codes = np.ceil(threshold / terms.priorities[:count])
    used = np.flatnonzero(codes <= 255)
    active.numbers[: len(used)] = terms.numbers[used]
    active.multipliers[: len(used)] = terms.multipliers[used]
    active.lowest[: len(used)] = np.maximum(codes[used], 1)
    mean = sum(codes[i] * terms.factors[i] for i in used) / max(len(used), 1)
    for floor in (min(max(1, int(3.0 * scale * mean)), 65535), 1):
        kept = collect_heavy(lists, active, len(used), wanted, floor, allowed, scratch)
        if kept >= wanted:
            break
    return kept


def walk_all(lists, rows, count, reach, missing, slack, scale, to_bound, allowed, scratch, hits, q):
    return keep_best(rows, allowed, scratch.query, scratch.best, hits.docs.shape[1])
