"""Twins of kernels/prune.py."""

from __future__ import annotations

import itertools

import numpy as np

from tests.oracle.kernels.weights import scale_of, widen


def _weights(offsets, weights, row_scales):
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    scales = [scale_of(d, weights, row_scales) for d in rows]
    return np.array([widen(weights, j, s) for j, s in enumerate(scales)], np.float32)


def step_of(weight, largest):
    return int(float(weight) / float(largest) * 255.0)


def bin_of(weight, largest):
    return int(np.sqrt(np.sqrt(float(weight) / float(largest))) * 65535.0)


def prune_rows(offsets, weights, row_scales, energy, masses, codes):
    given = _weights(offsets, weights, row_scales).astype(np.float64)
    for begin, end in itertools.pairwise(offsets.tolist()):
        row = given[begin:end]
        steps = np.array([step_of(w, row.max()) for w in row], int)
        masses[:] = 0
        np.add.at(masses, steps, row)
        total = np.cumsum(row)[-1] if len(row) else 0.0
        held = np.cumsum(masses[::-1])
        enough = np.flatnonzero(np.concatenate(([0.0], held)) >= energy * total)
        lowest = 256 - int(enough[0]) if len(enough) else 0
        codes[begin:end][steps < lowest] = 0


def find_largest(offsets, weights, row_scales, largest):
    largest[0] = max([largest[0], *_weights(offsets, weights, row_scales)])


def _bins(offsets, weights, row_scales, largest):
    return np.array([bin_of(w, largest) for w in _weights(offsets, weights, row_scales)], int)


def count_weights(offsets, weights, row_scales, largest, codes, counts):
    counts += np.bincount(_bins(offsets, weights, row_scales, largest)[codes > 0], minlength=len(counts))


def prune_weights(offsets, weights, row_scales, largest, lowest, codes):
    codes[_bins(offsets, weights, row_scales, largest) < lowest] = 0


def count_codes(terms, codes, places, counts):
    at = places[terms]
    np.add.at(counts, at[at >= 0] * 256 + codes[at >= 0], 1)


def cap_lists(terms, codes, places, lowest, left):
    for j, t in enumerate(terms.tolist()):
        at, code = places[t], int(codes[j])
        if at >= 0 and (code < lowest[at] or (code == lowest[at] and left[at] == 0)):
            codes[j] = 0
        elif at >= 0 and code == lowest[at]:
            left[at] -= 1


def count_listed(offsets, terms, weights, row_scales, codes, listed, rests, in_lists):
    given, kept = _weights(offsets, weights, row_scales), codes > 0
    listed += np.bincount(terms[kept], minlength=len(listed))
    np.maximum.at(rests, terms[~kept], given[~kept])
    in_lists[:] = [kept[a:b].sum() for a, b in itertools.pairwise(offsets.tolist())]
