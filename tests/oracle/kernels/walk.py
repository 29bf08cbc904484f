"""Twins of kernels/walk.py: sums of all documents at once, and ranking by sorting."""

from __future__ import annotations

import numpy as np

from tests import oracle
from tests.oracle.kernels import accumulate, heap, plan
from tests.oracle.kernels.score import score_row


def _may(allowed, docs):
    return np.array([len(allowed.mask) == 0 or bool(allowed.mask[d]) for d in docs], bool)


def score_candidates(rows, found, begin, end, missing, to_bound, table, hits, q, size):
    """The rule that leaves candidates out never changes the hits: those cannot reach the k-th best."""
    k = hits.scores.shape[1]
    for d, bound in zip(found.docs[begin:end].tolist(), found.bounds[begin:end].tolist(), strict=True):
        if missing >= 0 and size == k and bound + missing < float(hits.scores[q].min()) * to_bound:
            continue
        hits.scored[q] += 1
        score = score_row(rows, d, table)
        if score > 0:
            size = heap.push(hits, q, size, score, d)
    return size


def keep_allowed(allowed, found, begin, end):
    kept = begin + np.flatnonzero(_may(allowed, found.docs[begin:end]))
    places = slice(begin, begin + len(kept))
    found.docs[places], found.bounds[places] = found.docs[kept], found.bounds[kept]
    return places.stop


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
    good = (sums >= floor) & _may(allowed, docs)
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


def all_scores(rows, table):
    return np.array([score_row(rows, d, table) for d in range(len(rows.offsets) - 1)], np.float32)


def write_best(rows, allowed, table, hits, q):
    """The k best of all documents that may be returned; returns how many there are."""
    k = hits.docs.shape[1]
    mask = np.array(_may(allowed, range(len(rows.offsets) - 1)))
    docs, scores = oracle.rank(all_scores(rows, table), k, mask)
    size = int((docs >= 0).sum())
    hits.docs[q, :size], hits.scores[q, :size] = docs[:size], scores[:size]
    return size


def walk_all(lists, rows, count, reach, missing, to_bound, allowed, scratch, hits, q):
    return write_best(rows, allowed, scratch.table, hits, q)


def likely_best_first(found, count, wanted):
    """Which come first is fixed, their order is not."""
    values = found.bounds[:count]
    first = values >= np.sort(values)[::-1][wanted - 1]
    order = np.concatenate((np.flatnonzero(first), np.flatnonzero(~first)))
    found.docs[:count], found.bounds[:count] = found.docs[order], found.bounds[order]
    return int(first.sum())
