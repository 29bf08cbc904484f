"""Split term numbers: the lower bits of each entry as they are, the upper ones of a row as a run of bits.

Elias (JACM 21(2), 1974) and Fano (MIT memo 61, 1971): numbers below n_blocks << low_bits ascend within a
row, so their upper parts ("blocks") never fall. Row d owns length + n_blocks bits from bit offsets[d] + d *
n_blocks on; its k-th entry, in block b, sets its bit k + b. So where a row begins needs no list of its own,
and an entry takes its low bits, one bit, and its share of the n_blocks bits.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from splade_engine.index.jit import inlined, kernel, numba

intrinsic: Any = importlib.import_module("numba.extending").intrinsic

if numba.config.DISABLE_JIT:

    def lowest_bit(word: Any) -> Any:
        """The place of the lowest bit that is set, 0 to 63; one must be."""
        number = int(word)
        return np.uint64((number & -number).bit_length() - 1)

else:

    @intrinsic
    def lowest_bit(typing_context: Any, word: Any) -> Any:
        """The place of the lowest bit that is set, 0 to 63; one must be."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.uint64(types.uint64), codegen


@inlined
def part_of_row(word: Any, at: Any, bit: Any, stop: Any) -> Any:
    """The bits of word number `at` that lie in bit..stop-1."""
    if at == bit >> 6:
        skipped = np.uint64(bit & 63)
        word = (word >> skipped) << skipped
    if at == (stop - 1) >> 6:
        beyond = np.uint64(63 - ((stop - 1) & 63))
        word = (word << beyond) >> beyond
    return word


@kernel("i8 i8 i8[] u2[] i8 u1[]! u8[]!", "i8 i8 i8[] u4[] i8 u2[]! u8[]!")
def split_rows(
    first: Any, last: Any, offsets: Any, terms: Any, n_blocks: Any, lows: Any, blocks: Any
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


@kernel("i8[] i8[] i8[] u1[] u8[] i8 u4[]!", "i8[] i8[] i8[] u2[] u8[] i8 u4[]!")
def join_rows(
    wanted: Any, starts: Any, offsets: Any, lows: Any, blocks: Any, n_blocks: Any, out: Any
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
            word = part_of_row(blocks[at], at, bit, stop)
            before = 64 * at - bit + begin
            while word != np.uint64(0):
                block = before + np.int64(lowest_bit(word)) - j
                word &= word - np.uint64(1)
                out[starts[i] + j - begin] = (block << shift) | np.int64(lows[j])
                j += 1
