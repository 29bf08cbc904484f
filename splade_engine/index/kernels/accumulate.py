"""Walking the lists of one window: upper bounds of scores, added up per document in an array that stays in cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import inlined


@inlined
def add_list(docs: Any, codes: Any, factor: Any, scores: Any) -> None:
    """Add factor * code to the score of every document of a cut list."""
    for j in range(len(docs)):
        scores[np.uint64(docs[j])] += factor * np.float32(codes[j])


@inlined
def collect_above(scores: Any, n: Any, threshold: Any, slots: Any, values: Any) -> Any:
    """Move every positive score >= threshold to (slots, values), clear all scores; returns how many."""
    count = np.int64(0)
    for start in range(0, n, 64):
        part = scores[start : min(start + 64, n)]
        top = np.float32(0.0)
        for j in range(len(part)):
            top = max(top, part[j])
        if top > np.float32(0.0):
            if top >= threshold:
                for j in range(len(part)):
                    if part[j] >= threshold and part[j] > np.float32(0.0):
                        slots[count] = start + j
                        values[count] = part[j]
                        count += 1
            for j in range(len(part)):
                part[j] = np.float32(0.0)
    return count


@inlined
def nth_largest(values: Any, n: Any, rank: Any) -> Any:
    """The rank-th largest (from 1) of values[:n], which are reordered: Hoare's selection, median of three."""
    low, high = np.int64(0), n - 1
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
