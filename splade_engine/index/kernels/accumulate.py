"""Walking the lists of one window: upper bounds of scores, in 16 bits, added up in an array that stays in
cache.

Arrays are indexed by uint64, never sliced: numba then neither checks for wrap-around nor counts references
(atomic operations, 36 ns for each list of each window).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined, prefetch
from splade_engine.index.kernels.blocks import BLOCK, any_reaches, clear


@inlined
def add_whole_list(begin: Any, end: Any, multiplier: Any, docs: Any, codes: Any, bounds: Any) -> None:
    """Add the bound of every entry of begin..end-1."""
    for j in range(np.uint64(begin), np.uint64(end)):
        d = np.uint64(docs[j])
        bounds[d] += np.uint16((multiplier * np.int64(codes[j]) + 255) >> 8)


@inlined
def add_heavy_entries(
    begin: Any, end: Any, lowest: Any, multiplier: Any, docs: Any, codes: Any, bounds: Any
) -> Any:
    """Add the bounds of the entries from `begin` on down to the code `lowest`; returns where they end.

    Codes fall: where the last of eight is heavy enough, so are the seven before.
    """
    j = np.uint64(begin)
    stop = np.uint64(end)
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
    return np.int64(j)


@inlined
def take_touched(
    begin: Any,
    end: Any,
    docs: Any,
    bounds: Any,
    threshold: Any,
    base: Any,
    count: Any,
    slots: Any,
    values: Any,
) -> Any:
    """Clear the bounds of begin..end-1's documents; append those >= `threshold`. Returns the count."""
    for j in range(np.uint64(begin), np.uint64(end)):
        d = np.uint64(docs[j])
        bound = bounds[d]
        bounds[d] = np.uint16(0)
        if bound >= threshold:
            slots[count] = base + np.int64(d)
            values[count] = bound
            count += 1
    return count


@inlined
def take_all(n: Any, bounds: Any, threshold: Any, base: Any, slots: Any, values: Any) -> Any:
    """Clear bounds[:n]; write those of at least `threshold` to (slots, values). Returns how many.

    The length of bounds is a multiple of BLOCK.
    """
    count = np.int64(0)
    for begin in range(0, n, BLOCK):
        if any_reaches(bounds, begin, threshold):
            for j in range(np.uint64(begin), np.uint64(begin + BLOCK)):
                if bounds[j] >= threshold:
                    slots[count] = base + np.int64(j)
                    values[count] = bounds[j]
                    count += 1
        clear(bounds, begin)
    return count


@inlined
def prefetch_entries(begin: Any, end: Any, docs: Any, codes: Any) -> None:
    """Ask for the cache lines of list entries begin..end-1."""
    for j in range(begin, end, 32):
        prefetch(docs, j)
    for j in range(begin, end, 64):
        prefetch(codes, j)


@inlined
def nth_largest(values: Any, n: Any, rank: Any) -> Any:
    """The rank-th largest (from 1) of values[:n], which are reordered: Hoare's selection, median of three."""
    low, high = np.int64(0), np.int64(n - 1)
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
            return values[k]
    return values[low]


@inlined
def keep_largest(count: Any, wanted: Any, slots: Any, values: Any, work: Any) -> Any:
    """Keep the `wanted` largest candidates, earlier ones among equals; returns the smallest value kept."""
    for i in range(count):
        work[i] = values[i]
    smallest = nth_largest(work, count, wanted)
    ties = np.int64(wanted)
    for i in range(count):
        if values[i] > smallest:
            ties -= 1
    kept = np.int64(0)
    for i in range(count):
        value = values[i]
        if value > smallest or (value == smallest and ties > 0):
            if value == smallest:
                ties -= 1
            slots[kept], values[kept] = slots[i], value
            kept += 1
    return smallest


@inlined
def next_bound(bound: Any) -> Any:
    """The smallest bound above this one, or the largest that there is."""
    return np.uint16(bound + 1) if bound < 65535 else bound
