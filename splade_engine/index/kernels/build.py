"""Building the inverted lists: counting sort of the entries by (term, window), one window at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import kernel
from splade_engine.index.kernels.score import widen

_TYPES = [(t, w) for t in ("u2", "u4") for w in ("u2", "f4")]


@kernel("i4[] i8[]!")
def count_terms(terms: Any, counts: Any) -> None:
    """Add the number of entries of every term to `counts`."""
    for j in range(len(terms)):
        counts[np.uint64(terms[j])] += 1


@kernel("i4[] u4[] u2[]!", "i4[] u4[] u4[]!")
def number_terms(terms: Any, number_of: Any, out: Any) -> None:
    """Translate term ids to the segment's own numbers."""
    for j in range(len(terms)):
        out[j] = number_of[np.uint64(terms[j])]


@kernel(*[f"i8[] {t}[] {w}[] i8 i8 i8[]! f4[]!" for t, w in _TYPES])
def count_window(
    offsets: Any, terms: Any, weights: Any, first: Any, last: Any, counts: Any, largest: Any
) -> None:
    """Count the entries of every term in documents first..last-1, and raise `largest` to their greatest weight."""
    for j in range(offsets[first], offsets[last]):
        t = np.uint64(terms[j])
        counts[t] += 1
        w = widen(weights[j])
        if w > largest[t]:
            largest[t] = w


@kernel(*[f"i8[] {t}[] {w}[] i8 i8 i8[]! f4[] u2[]! u1[]!" for t, w in _TYPES])
def fill_window(
    offsets: Any,
    terms: Any,
    weights: Any,
    first: Any,
    last: Any,
    cursors: Any,
    scales: Any,
    docs: Any,
    codes: Any,
) -> None:
    """Write the entries of documents first..last-1 at their lists' cursors; codes are rounded up."""
    for d in range(first, last):
        for j in range(offsets[d], offsets[d + 1]):
            t = np.uint64(terms[j])
            at = np.uint64(cursors[t])
            cursors[t] += 1
            docs[at] = d - first
            w = widen(weights[j])
            code = np.int64(w / scales[t])
            if np.float32(code) * scales[t] < w:
                code += 1
            codes[at] = min(code, 255)
