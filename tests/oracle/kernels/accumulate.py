"""Twins of kernels/accumulate.py."""

from __future__ import annotations

import numpy as np


def part(lists, at):
    """(documents, codes) of list part `at`."""
    entries = slice(lists.offsets[at], lists.offsets[at + 1])
    return lists.docs[entries].astype(int), lists.codes[entries].astype(int)


def _add(bounds, docs, codes, multiplier):
    np.add.at(bounds, docs, ((multiplier * codes + 255) >> 8).astype(np.uint16))


def add_whole_list(lists, at, multiplier, bounds):
    _add(bounds, *part(lists, at), multiplier)


def add_heavy_entries(lists, at, lowest, multiplier, bounds):
    docs, codes = part(lists, at)
    heavy = codes >= lowest
    _add(bounds, docs[heavy], codes[heavy], multiplier)
    return int(lists.offsets[at]) + int(heavy.sum())


def take_touched(lists, at, end, bounds, threshold, base, found, count):
    docs = lists.docs[lists.offsets[at] : end].astype(int)
    kept = docs[bounds[docs] >= threshold]
    places = slice(count, count + len(kept))
    found.docs[places], found.bounds[places] = base + kept, bounds[kept]
    bounds[docs] = 0
    return count + len(kept)


def take_all(n, bounds, threshold, base, found, count):
    kept = np.flatnonzero(bounds[:n] >= threshold)
    places = slice(count, count + len(kept))
    found.docs[places], found.bounds[places] = base + kept, bounds[kept]
    bounds[:n] = 0
    return places.stop


def prefetch_entries(lists, begin, end):
    """Nothing but time changes."""


def nth_largest(values, n, rank):
    return np.sort(values[:n])[::-1][rank - 1]


def kth_bound(found, count, k):
    return sorted(found.bounds[:count].tolist(), reverse=True)[k - 1] if count >= k else 0


def keep_largest(found, count, wanted):
    order = np.lexsort((np.arange(count), -found.bounds[:count].astype(int)))[:wanted]
    kept = np.sort(order)
    found.docs[:wanted], found.bounds[:wanted] = found.docs[kept], found.bounds[kept]
    return found.bounds[:wanted].min()


def next_bound(bound):
    return min(int(bound) + 1, 65535)
