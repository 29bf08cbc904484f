"""Walking the lists of one window: upper bounds of scores, in 16 bits, added up in cache.

Arrays are indexed by uint64: numba then does not check for wrap-around.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.blocks import BLOCK, any_reaches, clear
from splade_engine.index.kernels.dtypes import i8, u2, u2_w
from splade_engine.index.kernels.groups import Candidates, Lists
from splade_engine.index.kernels.jit import helper, prefetch


@helper
def add_whole_list(lists: Lists, at: i8, multiplier: i8, bounds: u2_w) -> None:
    """Add the bound of every entry of list part `at`."""
    docs, codes = lists.docs, lists.codes
    for j in range(np.uint64(lists.offsets[at]), np.uint64(lists.offsets[at + 1])):
        d = np.uint64(docs[j])
        bounds[d] += np.uint16((multiplier * np.int64(codes[j]) + 255) >> 8)


@helper
def add_heavy_entries(lists: Lists, at: i8, lowest: i8, multiplier: i8, bounds: u2_w) -> i8:
    """Add the bounds of the entries of list part `at` down to the code `lowest`; returns where they end.

    Codes fall: where the last of eight is heavy enough, so are the seven before.
    """
    docs, codes = lists.docs, lists.codes
    j, stop = np.uint64(lists.offsets[at]), np.uint64(lists.offsets[at + 1])
    while j + np.uint64(8) <= stop and np.int64(codes[j + np.uint64(7)]) >= lowest:
        for i in range(8):
            d = np.uint64(docs[j + np.uint64(i)])
            bounds[d] += np.uint16((multiplier * np.int64(codes[j + np.uint64(i)]) + 255) >> 8)
        j += np.uint64(8)
    while j < stop:
        code = np.int64(codes[j])
        if code < lowest:
            break
        d = np.uint64(docs[j])
        bounds[d] += np.uint16((multiplier * code + 255) >> 8)
        j += np.uint64(1)
    return int(np.int64(j))


@helper
def take_touched(
    lists: Lists, at: i8, end: i8, bounds: u2_w, threshold: u2, base: i8, found: Candidates, count: i8
) -> i8:
    """Clear the bounds of the documents from the beginning of list part `at` to entry `end`.

    Those of at least `threshold` are appended to the `count` candidates found; returns the new count.
    """
    docs = lists.docs
    for j in range(np.uint64(lists.offsets[at]), np.uint64(end)):
        d = np.uint64(docs[j])
        bound = bounds[d]
        bounds[d] = np.uint16(0)
        if bound >= threshold:
            found.docs[count] = base + np.int64(d)
            found.bounds[count] = bound
            count += 1
    return count


@helper
def take_all(n: i8, bounds: u2_w, threshold: u2, base: i8, found: Candidates, count: i8) -> i8:
    """Clear bounds[:n]; append those of at least `threshold` to the `count` found. Returns the new count.

    The length of bounds is a multiple of BLOCK.
    """
    docs, values = found.docs, found.bounds
    for begin in range(0, n, BLOCK):
        if any_reaches(bounds, begin, threshold):
            for j in range(np.uint64(begin), np.uint64(begin + BLOCK)):
                if bounds[j] >= threshold:
                    docs[count] = base + np.int64(j)
                    values[count] = bounds[j]
                    count += 1
        clear(bounds, begin)
    return count


@helper
def prefetch_entries(lists: Lists, begin: i8, end: i8) -> None:
    """Ask for the cache lines of list entries begin..end-1."""
    for j in range(begin, end, 32):
        prefetch(lists.docs, j)
    for j in range(begin, end, 64):
        prefetch(lists.codes, j)


@helper
def nth_largest(values: u2_w, n: i8, rank: i8) -> u2:
    """The rank-th largest (from 1) of values[:n], which are reordered: Hoare's selection, median of three."""
    low, high = 0, n - 1
    k = rank - 1
    while low < high:
        a, b, c = values[low], values[(low + high) >> 1], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return np.uint16(values[k])
    return np.uint16(values[low])


@helper
def kth_bound(found: Candidates, count: i8, k: i8) -> u2:
    """The k-th largest bound of `count` candidates, 0 where there are fewer."""
    if count < k:
        return np.uint16(0)
    for c in range(count):
        found.work[c] = found.bounds[c]
    return nth_largest(found.work, n=count, rank=k)


@helper
def keep_largest(found: Candidates, count: i8, wanted: i8) -> u2:
    """Keep the `wanted` of the largest bounds, earlier ones among equals; returns the smallest bound kept."""
    docs, values = found.docs, found.bounds
    smallest = kth_bound(found, count=count, k=wanted)
    ties = wanted
    for i in range(count):
        if values[i] > smallest:
            ties -= 1
    kept = 0
    for i in range(count):
        value = values[i]
        if value > smallest or (value == smallest and ties > 0):
            if value == smallest:
                ties -= 1
            docs[kept], values[kept] = docs[i], value
            kept += 1
    return smallest


@helper
def next_bound(bound: u2) -> u2:
    """The smallest bound above this one, or the largest that there is."""
    return np.uint16(bound + 1) if bound < 65535 else bound
