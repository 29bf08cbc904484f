"""Twins of kernels/build.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels.weights import scale_of, widen


def count_terms(terms, counts):
    counts += np.bincount(terms, minlength=len(counts))


def number_terms(terms, number_of, out):
    out[:] = number_of[terms]


def _weights(first, last, offsets, weights, row_scales):
    rows = np.repeat(np.arange(first, last), np.diff(offsets[first : last + 1]))
    entries = range(offsets[first], offsets[last])
    scales = [scale_of(d, weights, row_scales) for d in rows]
    return np.array([widen(weights, j, s) for j, s in zip(entries, scales, strict=True)], np.float32)


def count_window(first, last, offsets, terms, weights, row_scales, counts, largest):
    used = terms[offsets[first] : offsets[last]]
    counts += np.bincount(used, minlength=len(counts))
    np.maximum.at(largest, used, _weights(first, last, offsets, weights, row_scales))


def encode_window(first, last, offsets, terms, weights, row_scales, scales, codes, counts):
    """The smallest code whose product with the scale is at least the weight; 255 where there is none."""
    used = terms[offsets[first] : offsets[last]]
    products = np.arange(256).astype(np.float32)[None, :] * scales[used][:, None]
    given = _weights(first, last, offsets, weights, row_scales)
    codes[:] = np.minimum((products < given[:, None]).sum(axis=1), 255)
    counts += np.bincount(codes, minlength=256)


def sort_by_code(first, last, offsets, terms, codes, cursors, sorted_terms, sorted_docs, sorted_codes):
    order = np.argsort(-codes.astype(int), kind="stable")
    docs = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
    sorted_terms[:] = terms[offsets[first] : offsets[last]][order]
    sorted_docs[:], sorted_codes[:] = docs[order], codes[order]
    cursors += np.bincount(codes, minlength=256)


def sort_by_term(terms, docs, codes, cursors, out_docs, out_codes):
    for t in np.unique(terms):
        place = slice(cursors[t], cursors[t] + (terms == t).sum())
        out_docs[place], out_codes[place] = docs[terms == t], codes[terms == t]
        cursors[t] = place.stop


def mark_levels(first, last, windows, offsets, codes, counts, levels):
    n_levels = len(levels) // ((len(offsets) - 1) // windows)
    for t in range(first, last):
        ranked = np.sort(codes[offsets[t * windows] : offsets[(t + 1) * windows]])[::-1]
        for level in range(n_levels):
            found = ranked[(64 << level) - 1] if len(ranked) >= 64 << level else 0
            levels[t * n_levels + level] = found
