"""Building the inverted lists: two passes of counting sort per window, first by code, then by term."""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.dtypes import (
    f4_r,
    f4_w,
    i4_r,
    i8,
    i8_r,
    i8_w,
    u1_r,
    u1_w,
    u2_r,
    u2_w,
    u4_r,
    u4_w,
)
from splade_engine.index.kernels.jit import kernel
from splade_engine.index.kernels.weights import Weights, scale_of, widen


@kernel
def count_terms(terms: i4_r, counts: i8_w) -> None:
    """Add the number of entries of every term to `counts`."""
    for j in range(len(terms)):
        counts[np.uint64(terms[j])] += 1


@kernel
def number_terms(terms: i4_r, number_of: u4_r, out: u2_w | u4_w) -> None:
    """Translate term ids to the segment's own numbers."""
    for j in range(len(terms)):
        out[np.uint64(j)] = number_of[np.uint64(terms[j])]


@kernel
def count_window(
    first: i8,
    last: i8,
    offsets: i8_r,
    terms: u2_r | u4_r,
    weights: Weights,
    row_scales: f4_r,
    counts: i8_w,
    largest: f4_w,
) -> None:
    """Count the entries of every term in rows first..last-1; raise `largest` to their greatest weight."""
    for d in range(first, last):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            t = np.uint64(terms[j])
            counts[t] += 1
            w = widen(weights, j, row_scale)
            if w > largest[t]:
                largest[t] = w


@kernel
def encode_window(
    first: i8,
    last: i8,
    offsets: i8_r,
    terms: u2_r | u4_r,
    weights: Weights,
    row_scales: f4_r,
    scales: f4_r,
    codes: u1_w,
    counts: i8_w,
) -> None:
    """codes[j - the first entry] = weight / scale rounded up, at most 255.

    So code * scale bounds the weight from above.

    Adds the number of entries of every code to counts.
    """
    base = offsets[first]
    for d in range(first, last):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(offsets[d], offsets[d + 1]):
            scale = scales[np.uint64(terms[j])]
            w = widen(weights, j, row_scale)
            code = np.int64(w / scale)
            if np.float32(code) * scale < w:
                code += 1
            code = code if code < 255 else np.int64(255)
            codes[np.uint64(j - base)] = code
            counts[np.uint64(code)] += 1


@kernel
def sort_by_code(
    first: i8,
    last: i8,
    offsets: i8_r,
    terms: u2_r | u4_r,
    codes: u1_r,
    cursors: i8_w,
    sorted_terms: u2_w | u4_w,
    sorted_docs: u2_w,
    sorted_codes: u1_w,
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


@kernel
def sort_by_term(
    terms: u2_r | u4_r, docs: u2_r, codes: u1_r, cursors: i8_w, out_docs: u2_w, out_codes: u1_w
) -> None:
    """Write entries that come by falling code at the cursors of their terms."""
    for j in range(len(terms)):
        t = np.uint64(terms[j])
        at = np.uint64(cursors[t])
        cursors[t] += 1
        out_docs[at] = docs[np.uint64(j)]
        out_codes[at] = codes[np.uint64(j)]


@kernel
def mark_levels(
    first: i8, last: i8, windows: i8, offsets: i8_r, codes: u1_r, counts: i8_w, levels: u1_w
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
