"""The score of a document: the one definition that every search ends with, so that all agree to the bit.

Four partial sums, over the entries at positions 0, 1, 2, 3 modulo 4 of the row, added as (s0 + s1) + (s2 +
s3), all in float32: one sum would wait for the adder (119 entries x 3 cycles), four hide it. Entries whose
term is not in the query add nothing, so that it makes no difference whether they are looked up or sifted out.

How rows are stored is asked of the dtypes of their arrays. These are known when a kernel is compiled, so that
it holds the one branch that fits.
"""

from __future__ import annotations

import numpy as np

from splade_engine.index.kernels.dtypes import f4, i8
from splade_engine.index.kernels.groups import Query, Rows
from splade_engine.index.kernels.jit import helper, item_size, prefetch
from splade_engine.index.kernels.sieve import SIFTED, can_sift, sift
from splade_engine.index.kernels.split import lowest_bit, part_of_row
from splade_engine.index.kernels.weights import are_codes, item_of, scale_of, widen

LARGEST = np.float32(3.4028234663852886e38)
AHEAD = 8  # documents prefetched ahead: a random one cost 690 ns without and 137 ns with it


@helper
def score_row(rows: Rows, d: i8, query: Query) -> f4:
    """float32 dot product of row d with a query, at most the largest float32.

    Where term numbers are split, the four sums change places at every entry: after an even number of them
    they stand as elsewhere or with both pairs swapped, which adds up to the same.
    """
    terms, weights, blocks, table = rows.terms, rows.weights, rows.blocks, query.table
    begin, end = rows.offsets[d], rows.offsets[d + 1]
    scale = scale_of(d, weights, rows.scales)
    if can_sift(terms, blocks) and end - begin >= SIFTED:
        sums = query.sums
        for i in range(np.uint64(4)):
            sums[i] = np.float32(0.0)
        at = begin
        while at < end:
            first = min(at, end - SIFTED)  # the last ones overlap those before, of which none counts twice
            seen = np.uint64(at - first)
            word = (sift(terms, first, query.sieve) >> seen) << seen
            while word != np.uint64(0):
                found = np.uint64(first + np.int64(lowest_bit(word)))
                word &= word - np.uint64(1)
                place = (found - np.uint64(begin)) & np.uint64(3)
                sums[place] += table[np.uint64(terms[found])] * widen(weights, found, scale)
            at += SIFTED
        return min((sums[0] + sums[1]) + (sums[2] + sums[3]), LARGEST)
    s0 = s1 = s2 = s3 = np.float32(0.0)
    if item_size(blocks) == 1:
        whole = begin + ((end - begin) & ~3)
        for j in range(np.uint64(begin), np.uint64(whole), np.uint64(4)):
            s0 += table[np.uint64(terms[j])] * widen(weights, j, scale)
            s1 += table[np.uint64(terms[j + np.uint64(1)])] * widen(weights, j + np.uint64(1), scale)
            s2 += table[np.uint64(terms[j + np.uint64(2)])] * widen(weights, j + np.uint64(2), scale)
            s3 += table[np.uint64(terms[j + np.uint64(3)])] * widen(weights, j + np.uint64(3), scale)
        if whole < end:
            s0 += table[np.uint64(terms[whole])] * widen(weights, whole, scale)
        if whole + 1 < end:
            s1 += table[np.uint64(terms[whole + 1])] * widen(weights, whole + 1, scale)
        if whole + 2 < end:
            s2 += table[np.uint64(terms[whole + 2])] * widen(weights, whole + 2, scale)
        return min((s0 + s1) + (s2 + s3), LARGEST)
    bit, stop = begin + d * rows.n_blocks, end + (d + 1) * rows.n_blocks
    shift = np.uint64(8 * item_size(terms))
    entry = np.int64(begin)
    for at in range(bit >> 6, ((stop - 1) >> 6) + 1):
        word = part_of_row(np.uint64(blocks[np.uint64(at)]), at=at, bit=bit, stop=stop)
        before = 64 * at - bit + begin
        while word != np.uint64(0):
            block = np.uint64(before + np.int64(lowest_bit(word)) - entry)
            word &= word - np.uint64(1)
            term = (block << shift) | np.uint64(terms[np.uint64(entry)])
            product = table[term] * widen(weights, np.uint64(entry), scale)
            s0, s1, s2, s3 = s1, s2, s3, s0 + product
            entry += 1
    return min((s3 + s0) + (s1 + s2) if (end - begin) & 1 else (s0 + s1) + (s2 + s3), LARGEST)


@helper
def prefetch_row(rows: Rows, d: i8) -> None:
    """Ask for the cache lines of row d; a hint that changes nothing but time."""
    terms, weights, blocks = rows.terms, rows.weights, rows.blocks
    begin, end = rows.offsets[d], rows.offsets[d + 1]
    for j in range(begin, end, 64 // max(item_size(terms), item_size(weights))):
        prefetch(terms, j)
        prefetch(weights, item_of(weights, j))
    if item_size(blocks) == 8:
        bit, stop = begin + d * rows.n_blocks, end + (d + 1) * rows.n_blocks
        prefetch(blocks, bit >> 6)
        prefetch(blocks, (stop - 1) >> 6)
    if are_codes(weights):
        prefetch(rows.scales, d)
