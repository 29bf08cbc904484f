"""Arguments of kernels/accumulate.py."""

from __future__ import annotations

import numpy as np


def add_whole_list(m):
    return {"lists": m.lists, "at": m.part(), "multiplier": 3000, "bounds": m.scratch.bounds}


def add_heavy_entries(m):
    return add_whole_list(m) | {"lowest": int(m.rng.integers(1, 257))}


def take_touched(m):
    m.fill_bounds()
    at = m.part()
    begin, end = m.lists.offsets[at], m.lists.offsets[at + 1]
    rest = {"threshold": np.uint16(m.rng.integers(1, 9)), "base": 128, "count": int(m.rng.integers(0, 9))}
    ends = int(m.rng.integers(begin, end + 1))
    return {
        "lists": m.lists,
        "at": at,
        "end": ends,
        "bounds": m.scratch.bounds,
        "found": m.scratch.found,
    } | rest


def take_all(m):
    m.fill_bounds()
    threshold = np.uint16(m.rng.integers(1, 11))
    given = {
        "n": 64,
        "bounds": m.scratch.bounds,
        "threshold": threshold,
        "base": 64,
        "found": m.scratch.found,
    }
    return given | {"count": m.fill_found()}


def prefetch_entries(m):
    return {"lists": m.lists, "begin": 0, "end": len(m.lists.docs)}


def nth_largest(m):
    n = m.fill_found()
    return {"values": m.scratch.found.bounds, "n": n, "rank": int(m.rng.integers(1, n + 1))}


def keep_largest(m):
    count = m.fill_found()
    return {"found": m.scratch.found, "count": count, "wanted": int(m.rng.integers(1, count + 1))}


def next_bound(m):
    return {"bound": np.uint16(m.rng.choice([0, 7, 65534, 65535]))}


def kth_bound(m):
    return {"found": m.scratch.found, "count": m.fill_found(), "k": int(m.rng.integers(1, 40))}
