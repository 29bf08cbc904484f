"""Building the inverted lists: two passes of counting sort per window, first by code, then by term."""

from __future__ import annotations

from typing import Any

import numpy as np

from splade_engine.index.jit import kernel
from splade_engine.index.kernels.score import scale_of, widen
from splade_engine.index.segment.row_kinds import LARGEST_CODE, SCALE_BITS, SMALLEST_SCALE, WEIGHT_KINDS

# types of the rows while lists are made of them: their term numbers are not split yet
VARIANTS = [(t, kind.kernel_type) for t in ("u2", "u4") for kind in WEIGHT_KINDS]


@kernel("i4[] i8[]!")
def count_terms(terms: Any, counts: Any) -> None:
    """Add the number of entries of every term to `counts`."""
    for j in range(len(terms)):
        counts[np.uint64(terms[j])] += 1


@kernel("i4[] u4[] u2[]!", "i4[] u4[] u4[]!")
def number_terms(terms: Any, number_of: Any, out: Any) -> None:
    """Translate term ids to the segment's own numbers."""
    for j in range(len(terms)):
        out[np.uint64(j)] = number_of[np.uint64(terms[j])]


@kernel("i8 i8 i8[] f4[] u1[]! f4[]!")
def quantise_rows(first: Any, last: Any, offsets: Any, weights: Any, codes: Any, scales: Any) -> None:
    """Weights of the rows first..last-1 as the nearest code * scale, code 1 to 255.

    A scale depends on its row alone: a 255th of the largest weight, cut to 16 bits. So code * scale is exact
    in float32, and quantising it again gives the same code and scale.
    """
    for d in range(first, last):
        begin, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        largest = np.float32(0.0)
        for j in range(begin, end):
            largest = max(largest, weights[j])
        cut = np.uint32(np.float32(largest / LARGEST_CODE).view(np.uint32) & SCALE_BITS)
        scale = max(cut.view(np.float32), SMALLEST_SCALE)
        scales[d] = scale
        for j in range(begin, end):
            code = np.int64(weights[j] / scale + np.float32(0.5))
            codes[j] = min(max(code, 1), 255)


@kernel(*[f"i8 i8 i8[] {t}[] {w}[] f4[] i8[]! f4[]!" for t, w in VARIANTS])
def count_window(
    first: Any,
    last: Any,
    offsets: Any,
    terms: Any,
    weights: Any,
    row_scales: Any,
    counts: Any,
    largest: Any,
) -> None:
    """Count the entries of every term in rows first..last-1; raise `largest` to their greatest weight."""
    for d in range(first, last):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            t = np.uint64(terms[j])
            counts[t] += 1
            w = widen(weights[j], row_scale)
            if w > largest[t]:
                largest[t] = w


@kernel(*[f"i8 i8 i8[] {t}[] {w}[] f4[] f4[] u1[]! i8[]!" for t, w in VARIANTS])
def encode_window(
    first: Any,
    last: Any,
    offsets: Any,
    terms: Any,
    weights: Any,
    row_scales: Any,
    scales: Any,
    codes: Any,
    counts: Any,
) -> None:
    """codes[j - the first entry] = weight / scale rounded up, at most 255, so that code * scale bounds the
    weight from above.

    Adds the number of entries of every code to counts.
    """
    base = offsets[first]
    for d in range(first, last):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(offsets[d], offsets[d + 1]):
            scale = scales[np.uint64(terms[j])]
            w = widen(weights[j], row_scale)
            code = np.int64(w / scale)
            if np.float32(code) * scale < w:
                code += 1
            code = code if code < 255 else np.int64(255)
            codes[np.uint64(j - base)] = code
            counts[np.uint64(code)] += 1


@kernel(*[f"i8 i8 i8[] {t}[] u1[] i8[]! {t}[]! u2[]! u1[]!" for t in ("u2", "u4")])
def sort_by_code(
    first: Any,
    last: Any,
    offsets: Any,
    terms: Any,
    codes: Any,
    cursors: Any,
    sorted_terms: Any,
    sorted_docs: Any,
    sorted_codes: Any,
) -> None:
    """Write the entries of documents first..last-1 at the cursors of their codes."""
    base = offsets[first]
    for d in range(first, last):
        for j in range(offsets[d], offsets[d + 1]):
            code = np.uint64(codes[np.uint64(j - base)])
            at = np.uint64(cursors[code])
            cursors[code] += 1
            sorted_terms[at] = terms[np.uint64(j)]
            sorted_docs[at] = d - first
            sorted_codes[at] = code


@kernel(*[f"{t}[] u2[] u1[] i8[]! u2[]! u1[]!" for t in ("u2", "u4")])
def sort_by_term(terms: Any, docs: Any, codes: Any, cursors: Any, out_docs: Any, out_codes: Any) -> None:
    """Write entries that come by falling code at the cursors of their terms."""
    for j in range(len(terms)):
        t = np.uint64(terms[j])
        at = np.uint64(cursors[t])
        cursors[t] += 1
        out_docs[at] = docs[np.uint64(j)]
        out_codes[at] = codes[np.uint64(j)]


@kernel("i8 i8 i8 i8[] u1[] i8[]! u1[]!")
def mark_levels(
    first: Any, last: Any, windows: Any, offsets: Any, codes: Any, counts: Any, levels: Any
) -> None:
    """For terms first..last-1: the codes at rank 64, 128, 256, ... of their lists, 0 beyond the end."""
    n_levels = len(levels) // ((len(offsets) - 1) // windows)
    for t in range(first, last):
        for c in range(256):
            counts[c] = 0
        for j in range(offsets[t * windows], offsets[(t + 1) * windows]):
            counts[np.uint64(codes[np.uint64(j)])] += 1
        seen = np.int64(0)
        level = np.int64(0)
        for c in range(255, -1, -1):
            seen += counts[c]
            while level < n_levels and seen >= (64 << level):
                levels[t * n_levels + level] = c
                level += 1
        while level < n_levels:
            levels[t * n_levels + level] = 0
            level += 1
