"""The score of a document: the one definition that every search ends with, so that all agree to the bit.

Four partial sums, over the entries at positions 0, 1, 2, 3 modulo 4 of the row, added as (s0 + s1) + (s2 +
s3), all in float32: one sum would wait for the adder (119 entries x 3 cycles), four hide it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from splade_engine.index.jit import prefetch
from splade_engine.index.kernels.split import lowest_bit, part_of_row

HALF = np.float32(
    2.0**112
)  # shifted half-precision bits, read as single precision, are too small by this factor
LARGEST = np.float32(3.4028234663852886e38)
AHEAD = 8  # documents prefetched ahead: a random one cost 690 ns without and 137 ns with it


def widen(weight: Any, scale: Any) -> Any:
    """float32 of a stored weight: the bits of a positive float16 (as uint16), an 8-bit code, or a float32."""
    if isinstance(weight, np.uint16):
        return np.uint32(np.uint32(weight) << np.uint32(13)).view(np.float32) * HALF
    if isinstance(weight, np.uint8):
        return np.float32(weight) * scale
    return weight


@overload(widen, inline="never")
def _widen(weight: Any, scale: Any) -> Any:
    if weight == types.uint16:

        def half(weight: Any, scale: Any) -> Any:
            return np.uint32(np.uint32(weight) << np.uint32(13)).view(np.float32) * HALF

        return half
    if weight == types.uint8:

        def code(weight: Any, scale: Any) -> Any:
            return np.float32(weight) * scale

        return code

    def single(weight: Any, scale: Any) -> Any:
        return weight

    return single


def scale_of(d: Any, weights: Any, scales: Any) -> Any:
    """The scale of the 8-bit codes of row d; 1 for weights of another type, whose `scales` are empty."""
    return scales[d] if weights.dtype == np.uint8 else np.float32(1.0)


@overload(scale_of, inline="never")
def _scale_of(d: Any, weights: Any, scales: Any) -> Any:
    if weights.dtype == types.uint8:

        def stored(d: Any, weights: Any, scales: Any) -> Any:
            return scales[np.uint64(d)]

        return stored

    def one(d: Any, weights: Any, scales: Any) -> Any:
        return np.float32(1.0)

    return one


# Which of the loops below a kernel contains is decided by the types of its arrays when it is compiled. A
# function that hands its arrays to another one counts references (22 ns a row), so these hand on none.


def score_row(
    begin: Any,
    end: Any,
    bit: Any,
    stop: Any,
    terms: Any,
    blocks: Any,
    weights: Any,
    scale: Any,
    table: Any,
) -> Any:
    """float32 dot product of entries begin..end-1 with the query's table, at most the largest float32.

    Args:
        bit, stop: the bits of `blocks` that belong to the row, where term numbers are split.
        scale: of the row, see `scale_of`.
    """
    loop = score_plain if blocks.dtype == np.uint8 else score_split
    return loop(begin, end, bit, stop, terms, blocks, weights, scale, table)


@overload(score_row, inline="never")
def _score_row(
    begin: Any,
    end: Any,
    bit: Any,
    stop: Any,
    terms: Any,
    blocks: Any,
    weights: Any,
    scale: Any,
    table: Any,
) -> Any:
    return score_plain if blocks.dtype == types.uint8 else score_split


def score_plain(
    begin: Any,
    end: Any,
    bit: Any,
    stop: Any,
    terms: Any,
    blocks: Any,
    weights: Any,
    scale: Any,
    table: Any,
) -> Any:
    """`score_row` of whole term numbers."""
    s0 = s1 = s2 = s3 = np.float32(0.0)
    whole = begin + ((end - begin) & ~3)
    for j in range(np.uint64(begin), np.uint64(whole), np.uint64(4)):
        s0 += table[np.uint64(terms[j])] * widen(weights[j], scale)
        s1 += table[np.uint64(terms[j + np.uint64(1)])] * widen(weights[j + np.uint64(1)], scale)
        s2 += table[np.uint64(terms[j + np.uint64(2)])] * widen(weights[j + np.uint64(2)], scale)
        s3 += table[np.uint64(terms[j + np.uint64(3)])] * widen(weights[j + np.uint64(3)], scale)
    if whole < end:
        s0 += table[np.uint64(terms[whole])] * widen(weights[whole], scale)
    if whole + 1 < end:
        s1 += table[np.uint64(terms[whole + 1])] * widen(weights[whole + 1], scale)
    if whole + 2 < end:
        s2 += table[np.uint64(terms[whole + 2])] * widen(weights[whole + 2], scale)
    return min((s0 + s1) + (s2 + s3), LARGEST)


def score_split(
    begin: Any,
    end: Any,
    bit: Any,
    stop: Any,
    terms: Any,
    blocks: Any,
    weights: Any,
    scale: Any,
    table: Any,
) -> Any:
    """`score_row` of term numbers whose upper parts are bits bit..stop-1 of `blocks` (`kernels/split.py`).

    The four sums change places at every entry: after an even number of them they stand as in `score_plain` or
    with both pairs swapped, which adds up to the same.
    """
    s0 = s1 = s2 = s3 = np.float32(0.0)
    shift = np.uint64(8 * terms.itemsize)
    j = np.int64(begin)
    for at in range(bit >> 6, ((stop - 1) >> 6) + 1):
        word = part_of_row(blocks[np.uint64(at)], at, bit, stop)
        before = 64 * at - bit + begin
        while word != np.uint64(0):
            block = np.uint64(before + np.int64(lowest_bit(word)) - j)
            word &= word - np.uint64(1)
            term = (block << shift) | np.uint64(terms[np.uint64(j)])
            product = table[term] * widen(weights[np.uint64(j)], scale)
            s0, s1, s2, s3 = s1, s2, s3, s0 + product
            j += 1
    if (end - begin) & 1:
        return min((s3 + s0) + (s1 + s2), LARGEST)
    return min((s0 + s1) + (s2 + s3), LARGEST)


def prefetch_row(
    d: Any, begin: Any, end: Any, bit: Any, stop: Any, terms: Any, blocks: Any, weights: Any, scales: Any
) -> None:
    """Ask for the cache lines of row d; a hint that changes nothing but time."""


@overload(prefetch_row, inline="never")
def _prefetch_row(
    d: Any, begin: Any, end: Any, bit: Any, stop: Any, terms: Any, blocks: Any, weights: Any, scales: Any
) -> Any:
    split, scaled = blocks.dtype == types.uint64, weights.dtype == types.uint8
    step = 512 // max(terms.dtype.bitwidth, weights.dtype.bitwidth)  # items of the wider array on a line

    def ask(
        d: Any, begin: Any, end: Any, bit: Any, stop: Any, terms: Any, blocks: Any, weights: Any, scales: Any
    ) -> None:
        for j in range(begin, end, step):
            prefetch(terms, j)
            prefetch(weights, j)
        if split:
            prefetch(blocks, bit >> 6)
            prefetch(blocks, (stop - 1) >> 6)
        if scaled:
            prefetch(scales, d)

    return ask
