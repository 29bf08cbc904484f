"""Bringing alike documents together: sketches of their vectors, clustered by k-means.

Everything here is the same on every machine: sums are taken in one order, vector instructions only work on
things side by side.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.block_sizes import BLOCK, LANES
from splade_engine.index.kernels.dtypes import (
    f4_r,
    f4_w,
    f8_w,
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
    u8_r,
    u8_w,
)
from splade_engine.index.kernels.jit import kernel
from splade_engine.index.kernels.lanes import count_bits
from splade_engine.index.kernels.weights import Weights, scale_of, widen

MIDDLE = 128.0  # the code of 0 in a sketch


@kernel
def sketch_rows(
    first: i8,
    last: i8,
    offsets: i8_r,
    terms: u2_r | u4_r,
    weights: Weights,
    row_scales: f4_r,
    rarity: f4_r,
    signs: f4_r,
    sums: f4_w,
    sketches: u1_w,
) -> None:
    """Project rows first..last-1: dimension i is the sum of weight * rarity[term] * signs[term * n + i].

    n is len(sums); there are signs for a power of two of terms, and terms beyond it take them once more.
    Scaled to a length of 512, rounded, cut to -127..127, stored with 128 added.
    """
    n = len(sums)
    known = np.uint64(len(signs) // n - 1)
    for d in range(first, last):
        for i in range(n):
            sums[np.uint64(i)] = np.float32(0.0)
        row_scale = scale_of(d, weights, row_scales)
        for j in range(np.uint64(offsets[d]), np.uint64(offsets[d + 1])):
            t = np.uint64(terms[j])
            weight = widen(weights, j, row_scale) * rarity[t]
            base = (t & known) * np.uint64(n)
            for i in range(np.uint64(n)):
                sums[i] += weight * signs[base + i]
        square = 0.0
        for i in range(n):
            square += np.float64(sums[i]) * np.float64(sums[i])
        scale = 512.0 / np.sqrt(square) if square > 0.0 else 0.0
        for i in range(n):
            value = np.floor(np.float64(sums[i]) * scale + 0.5)
            sketches[d * n + i] = np.uint8(min(max(value, -127.0), 127.0) + MIDDLE)


@kernel
def nearest_centre(docs: i8_r, step: i8, sketches: u1_r, centres: f4_r, similar: f4_w, out: i8_w) -> None:
    """out[i] = the centre with the largest product with the sketch of docs[i * step], the first among equals.

    Dimension d of centre c is centres[d * len(similar) + c].
    """
    k = len(similar)
    n = len(centres) // k
    for i in range(len(out)):
        doc = np.uint64(docs[i * step])
        for c in range(np.uint64(k)):
            similar[c] = np.float32(0.0)
        for d in range(n):
            value = np.float32(sketches[doc * np.uint64(n) + np.uint64(d)]) - np.float32(MIDDLE)
            base = np.uint64(d * k)
            for c in range(np.uint64(k)):
                similar[c] += value * centres[base + c]
        best = 0
        for c in range(1, k):
            if similar[c] > similar[best]:
                best = c
        out[i] = best


@kernel
def move_centres(
    docs: i8_r, step: i8, sketches: u1_r, nearest: i8_r, counts: i8_w, sums: f8_w, centres: f4_w
) -> None:
    """Move each centre to the mean direction, of length 1, of the docs[i * step] nearest to it.

    One without documents stays. `counts` has an item for each centre, `sums` as many as `centres`.
    """
    k = len(counts)
    n = len(sums) // k
    for c in range(k):
        counts[c] = 0
    for i in range(len(sums)):
        sums[i] = 0.0
    for i in range(len(nearest)):
        doc, base = np.uint64(docs[i * step]), np.uint64(nearest[i] * n)
        counts[nearest[i]] += 1
        for d in range(np.uint64(n)):
            sums[base + d] += np.float64(sketches[doc * np.uint64(n) + d]) - MIDDLE
    for c in range(k):
        square = 0.0
        for d in range(n):
            square += sums[c * n + d] * sums[c * n + d]
        if counts[c] > 0 and square > 0.0:
            scale = 1.0 / np.sqrt(square)
            for d in range(n):
                centres[d * k + c] = np.float32(sums[c * n + d] * scale)


@kernel
def count_heads(
    docs: u4_r,
    offsets: i8_r,
    terms: u2_r | u4_r,
    row_codes: u1_r,
    columns: i4_r,
    latest: i8_w,
    counts: i8_w,
) -> None:
    """Count in how many blocks each short list has entries. `latest` is -1 of every list before.

    Entries of code 0 are in no list.
    """
    for place in range(len(docs)):
        d = np.uint64(docs[place])
        block = place // BLOCK
        for j in range(np.uint64(offsets[d]), np.uint64(offsets[d + np.uint64(1)])):
            t = np.uint64(terms[j])
            if row_codes[j] > 0 and columns[t] < 0 and latest[t] != block:
                latest[t] = block
                counts[t] += 1


@kernel
def fill_lists(
    docs: u4_r,
    offsets: i8_r,
    terms: u2_r | u4_r,
    row_codes: u1_r,
    columns: i4_r,
    n_blocks: i8,
    n_groups: i8,
    cursors: i8_w,
    codes: u1_w,
    maxima: u1_w,
    masks: u8_w,
    latest: i8_w,
    head_cursors: i8_w,
    heads: u4_w,
    head_masks: u2_w,
    head_maxima: u1_w,
) -> None:
    """Write the entries of all documents, in the order of their places, at the cursors of their terms.

    A long list marks the places in its column, a short one has a head for each block in which it has entries.
    Entries of code 0 are in no list. `latest` is -1 of every list before.
    """
    for place in range(len(docs)):
        d = np.uint64(docs[place])
        block, group = place // BLOCK, place // LANES
        bit, short_bit = np.uint64(1) << np.uint64(place % LANES), np.uint16(1 << (place % BLOCK))
        for j in range(np.uint64(offsets[d]), np.uint64(offsets[d + np.uint64(1)])):
            t = np.uint64(terms[j])
            at, code, column = np.uint64(cursors[t]), row_codes[j], np.int64(columns[t])
            if code == 0:
                continue
            cursors[t] += 1
            codes[at] = code
            if column >= 0:
                masks[np.uint64(column * n_groups + group)] |= bit
                largest = np.uint64(column * n_blocks + block)
                if code > maxima[largest]:
                    maxima[largest] = code
            else:
                if latest[t] != block:
                    latest[t] = block
                    head = np.uint64(head_cursors[t])
                    head_cursors[t] += 1
                    heads[head], head_masks[head], head_maxima[head] = block, 0, 0
                head = np.uint64(head_cursors[t] - 1)
                head_masks[head] |= short_bit
                if code > head_maxima[head]:
                    head_maxima[head] = code


@kernel
def count_runs(n_groups: i8, masks: u8_r, runs: u4_w) -> None:
    """runs: how many bits are set before each group, in its column of n_groups."""
    before = 0
    for at in range(len(masks)):
        if at % n_groups == 0:
            before = 0
        runs[np.uint64(at)] = before
        before += int(np.int64(count_bits(masks[np.uint64(at)])))
