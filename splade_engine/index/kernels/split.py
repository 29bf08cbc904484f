"""Split term numbers: the lower bits of each entry as they are, the upper ones of a row as a run of bits.

Elias (JACM 21(2), 1974) and Fano (MIT memo 61, 1971): numbers below n_blocks << low_bits ascend within a
row, so their upper parts ("blocks") never fall. Row d owns length + n_blocks bits from bit offsets[d] + d *
n_blocks on; its k-th entry, in block b, sets its bit k + b. So where a row begins needs no list of its own,
and an entry takes its low bits, one bit, and its share of the n_blocks bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from splade_engine.index.kernels.dtypes import i8, i8_r, u1_r, u1_w, u2_r, u2_w, u4_r, u4_w, u8, u8_r, u8_w
from splade_engine.index.kernels.jit import helper, instruction, kernel


def _count_trailing_zeros(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))


@instruction(_count_trailing_zeros)
def lowest_bit(word: u8) -> u8:
    """The place of the lowest bit that is set, 0 to 63; one must be."""
    number = int(word)
    return np.uint64((number & -number).bit_length() - 1)


@helper
def part_of_row(word: u8, at: i8, bit: i8, stop: i8) -> u8:
    """The bits of word number `at` that lie in bit..stop-1."""
    if at == bit >> 6:
        skipped = np.uint64(bit & 63)
        word = (word >> skipped) << skipped
    if at == (stop - 1) >> 6:
        beyond = np.uint64(63 - ((stop - 1) & 63))
        word = (word << beyond) >> beyond
    return word


@kernel
def split_rows(
    first: i8, last: i8, offsets: i8_r, terms: u2_r | u4_r, n_blocks: i8, lows: u1_w | u2_w, blocks: u8_w
) -> None:
    """Write the lower bits of the rows first..last-1, and set the bits of the upper ones."""
    shift = np.int64(8 * lows.itemsize)
    for d in range(first, last):
        bit = d * n_blocks
        for j in range(offsets[d], offsets[d + 1]):
            term = np.int64(terms[j])
            lows[j] = term & ((1 << shift) - 1)
            place = bit + j + (term >> shift)
            blocks[place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@kernel
def join_rows(
    wanted: i8_r, starts: i8_r, offsets: i8_r, lows: u1_r | u2_r, blocks: u8_r, n_blocks: i8, out: u4_w
) -> None:
    """out[starts[i]:] = the term numbers of row wanted[i], put together again."""
    shift = np.int64(8 * lows.itemsize)
    for i in range(len(wanted)):
        d = wanted[i]
        begin, end = offsets[d], offsets[d + 1]
        if begin == end:
            continue
        bit, stop = begin + d * n_blocks, end + (d + 1) * n_blocks
        j = np.int64(begin)
        for at in range(bit >> 6, ((stop - 1) >> 6) + 1):
            word = part_of_row(blocks[at], at=at, bit=bit, stop=stop)
            before = 64 * at - bit + begin
            while word != np.uint64(0):
                block = before + np.int64(lowest_bit(word)) - j
                word &= word - np.uint64(1)
                out[starts[i] + j - begin] = (block << shift) | np.int64(lows[j])
                j += 1
