"""Twins of kernels/order.py."""

from __future__ import annotations

import numpy as np

from tests.oracle.kernels.weights import scale_of, widen


def sketch_rows(first, last, offsets, terms, weights, row_scales, rarity, signs, sums, sketches):
    """Sums in the order of entries: float32 addition does not commute with another order."""
    n = len(sums)
    table = signs.reshape(-1, n)
    for d in range(first, last):
        sums[:] = 0
        for j in range(offsets[d], offsets[d + 1]):
            weight = np.float32(widen(weights, j, scale_of(d, weights, row_scales)) * rarity[terms[j]])
            sums += weight * table[terms[j] % len(table)]
        length = np.sqrt(np.cumsum(sums.astype(np.float64) ** 2)[-1])
        scaled = np.floor(sums * (512.0 / length) + 0.5) if length > 0 else np.zeros(n)
        sketches[d * n : (d + 1) * n] = np.clip(scaled, -127, 127) + 128


def _vectors(docs, sketches, n):
    return sketches.reshape(-1, n)[docs].astype(np.float32) - np.float32(128)


def nearest_centre(docs, step, sketches, centres, similar, out):
    k = len(similar)
    table = centres.reshape(-1, k)
    for i, vector in enumerate(_vectors(docs[: len(out) * step : step], sketches, len(table))):
        similar[:] = 0
        for value, row in zip(vector, table, strict=True):
            similar += value * row
        out[i] = int(np.argmax(similar))


def move_centres(docs, step, sketches, nearest, counts, sums, centres):
    k = len(counts)
    n = len(sums) // k
    vectors = _vectors(docs[: len(nearest) * step : step], sketches, n)
    counts[:] = np.bincount(nearest, minlength=k)
    for c in range(k):
        total = vectors[nearest == c].astype(np.float64).sum(axis=0)
        sums[c * n : (c + 1) * n] = total
        length = np.sqrt((total**2).cumsum()[-1])
        if counts[c] and length > 0:
            centres.reshape(-1, k)[:, c] = total * (1.0 / length)


def entries_of(docs, offsets, terms, row_codes):
    """(places, terms, codes) of all entries that lists keep, by place and then by row."""
    lengths = np.diff(offsets)[docs]
    places = np.repeat(np.arange(len(docs)), lengths)
    at = np.concatenate([np.arange(offsets[d], offsets[d + 1]) for d in docs] or [[]]).astype(int)
    kept = row_codes[at] > 0
    return places[kept], terms[at][kept].astype(int), row_codes[at][kept]


def count_heads(docs, offsets, terms, row_codes, columns, latest, counts):
    places, used, _ = entries_of(docs, offsets, terms, row_codes)
    for t in np.flatnonzero(columns < 0):
        held = np.unique(places[used == t] // 16)
        counts[t] += len(held)
        if len(held):
            latest[t] = held[-1]


def fill_lists(
    docs, offsets, terms, row_codes, columns, n_blocks, n_groups, cursors, codes, maxima, masks, latest,
    head_cursors, heads, head_masks, head_maxima,
):  # fmt: skip
    places, used, given = entries_of(docs, offsets, terms, row_codes)
    for t in np.unique(used):
        at, held = places[used == t], given[used == t]
        codes[cursors[t] : cursors[t] + len(at)] = held
        cursors[t] += len(at)
        column = int(columns[t])
        if column >= 0:
            np.maximum.at(maxima, column * n_blocks + at // 16, held)
            np.bitwise_or.at(masks, column * n_groups + at // 64, np.uint64(1) << (at % 64).astype(np.uint64))
            continue
        for block in np.unique(at // 16):
            here, head = at // 16 == block, head_cursors[t]
            heads[head], head_maxima[head] = block, held[here].max()
            head_masks[head] = sum(1 << int(place % 16) for place in at[here])
            head_cursors[t] += 1
            latest[t] = block


def count_runs(n_groups, masks, runs):
    for first in range(0, len(masks), n_groups):
        bits = [bin(int(mask)).count("1") for mask in masks[first : first + n_groups]]
        runs[first : first + n_groups] = np.cumsum([0, *bits[:-1]])
