"""Static pruning: which entries the lists leave out. An entry that is left out has the code 0.

Whatever the rule, entries of equal rank are treated by the order of documents, never by chance.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.dtypes import (
    f4,
    f4_r,
    f4_w,
    f8,
    f8_w,
    i8,
    i8_r,
    i8_w,
    u1_r,
    u1_w,
    u2_r,
    u4_r,
    u4_w,
)
from splade_engine.index.kernels.jit import helper, kernel
from splade_engine.index.kernels.weights import Weights, scale_of, widen

STEPS = 256  # in which the weights of a document are told apart
BINS = 65536  # in which all weights are told apart


@kernel
def prune_rows(
    offsets: i8_r, weights: Weights, row_scales: f4_r, energy: f8, masses: f8_w, codes: u1_w
) -> None:
    """Leave out each document's lightest entries, while the others hold the share `energy` of its weight.

    Weights are told apart in STEPS equal steps up to the largest; what lies in one step stays together.
    `masses` has an item for each step.
    """
    for d in range(len(offsets) - 1):
        row_scale = scale_of(d, weights, row_scales)
        largest = np.float32(0.0)
        for j in range(offsets[d], offsets[d + 1]):
            weight = widen(weights, j, row_scale)
            largest = weight if weight > largest else largest
        for step in range(STEPS):
            masses[step] = 0.0
        total = 0.0
        for j in range(offsets[d], offsets[d + 1]):
            weight = widen(weights, j, row_scale)
            masses[step_of(weight, largest)] += np.float64(weight)
            total += np.float64(weight)
        kept, lowest = 0.0, STEPS
        while lowest > 0 and kept < energy * total:
            lowest -= 1
            kept += masses[lowest]
        for j in range(offsets[d], offsets[d + 1]):
            if step_of(widen(weights, j, row_scale), largest) < lowest:
                codes[np.uint64(j)] = 0


@helper
def step_of(weight: f4, largest: f4) -> i8:
    """In which of STEPS equal steps up to the largest a weight lies."""
    return int(np.float64(weight) / np.float64(largest) * (STEPS - 1.0))


@helper
def bin_of(weight: f4, largest: f4) -> i8:
    """In which of BINS a weight lies, by its fourth root: small weights are told apart as well."""
    return int(np.sqrt(np.sqrt(np.float64(weight) / np.float64(largest))) * (BINS - 1.0))


@kernel
def find_largest(offsets: i8_r, weights: Weights, row_scales: f4_r, largest: f4_w) -> None:
    """Raise largest[0] to the greatest of all weights."""
    for d in range(len(offsets) - 1):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(offsets[d], offsets[d + 1]):
            weight = widen(weights, j, row_scale)
            largest[0] = weight if weight > largest[0] else largest[0]


@kernel
def count_weights(
    offsets: i8_r, weights: Weights, row_scales: f4_r, largest: f4, codes: u1_r, counts: i8_w
) -> None:
    """Add the number of entries of each bin, of those that are not left out, to `counts`."""
    for d in range(len(offsets) - 1):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(offsets[d], offsets[d + 1]):
            if codes[np.uint64(j)] > 0:
                counts[bin_of(widen(weights, j, row_scale), largest)] += 1


@kernel
def prune_weights(
    offsets: i8_r, weights: Weights, row_scales: f4_r, largest: f4, lowest: i8, codes: u1_w
) -> None:
    """Leave out all entries of bins below `lowest`."""
    for d in range(len(offsets) - 1):
        row_scale = scale_of(d, weights, row_scales)
        for j in range(offsets[d], offsets[d + 1]):
            if bin_of(widen(weights, j, row_scale), largest) < lowest:
                codes[np.uint64(j)] = 0


@kernel
def count_codes(terms: u2_r | u4_r, codes: u1_r, places: i8_r, counts: i8_w) -> None:
    """counts[places[t] * 256 + code]: how many entries of each code list t has; lists of place -1 not."""
    for j in range(len(terms)):
        place = places[np.uint64(terms[np.uint64(j)])]
        if place >= 0:
            counts[place * 256 + np.int64(codes[np.uint64(j)])] += 1


@kernel
def cap_lists(terms: u2_r | u4_r, codes: u1_w, places: i8_r, lowest: i8_r, left: i8_w) -> None:
    """Leave out what lies below lowest[places[t]] in list t, and of that code all but the first `left`."""
    for j in range(len(terms)):
        place = places[np.uint64(terms[np.uint64(j)])]
        if place >= 0:
            code = np.int64(codes[np.uint64(j)])
            if code < lowest[place]:
                codes[np.uint64(j)] = 0
            elif code == lowest[place]:
                if left[place] == 0:
                    codes[np.uint64(j)] = 0
                else:
                    left[place] -= 1


@kernel
def count_listed(
    offsets: i8_r,
    terms: u2_r | u4_r,
    weights: Weights,
    row_scales: f4_r,
    codes: u1_r,
    listed: i8_w,
    rests: f4_w,
    in_lists: u4_w,
) -> None:
    """Add to listed[t] the entries that list t keeps; raise rests[t] to the largest weight that it does not.

    in_lists[d] is how many lists document d stands in.
    """
    for d in range(len(offsets) - 1):
        row_scale = scale_of(d, weights, row_scales)
        kept = 0
        for j in range(offsets[d], offsets[d + 1]):
            t = np.uint64(terms[np.uint64(j)])
            if codes[np.uint64(j)] > 0:
                listed[t] += 1
                kept += 1
            else:
                weight = widen(weights, j, row_scale)
                rests[t] = weight if weight > rests[t] else rests[t]
        in_lists[d] = kept
