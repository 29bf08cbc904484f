"""Many sums at a time, by vector instructions: adding codes to 64 or 16 sums, and finding the large ones.

The codes of 16 documents of which only some are in a list are stored without gaps, beside a mask of 16 bits.
Where the processor can spread bytes by a mask, adding them is a few instructions without a branch: for 16
bytes at once (AVX-512 VBMI2), or for 8 in a word of 64 bits (BMI2). Elsewhere it is a loop over the bits. All
give the same sums.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir

from splade_engine.index.kernels.block_sizes import BLOCK, LANES
from splade_engine.index.kernels.dtypes import i8, u1_r, u2, u2_r, u2_w, u8
from splade_engine.index.kernels.jit import instruction

cgutils: Any = importlib.import_module("numba.core.cgutils")


def _vector(bits: int, n: int) -> Any:
    return ir.VectorType(ir.IntType(bits), n)


def _address(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    view = context.make_array(array)(context, builder, value)
    return builder.gep(view.data, [index])


def _filled(builder: Any, value: Any, n: int) -> Any:
    kind = ir.VectorType(value.type, n)
    anything = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(anything, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, anything, ir.Constant(_vector(32, n), [0] * n))


def _add_products(builder: Any, sums: Any, codes: Any, multiplier: Any, n: int) -> None:
    """sums[i] += codes[i] * multiplier >> 8: the upper half of a product of 16 bits each."""
    words, wide = _vector(16, n), _vector(32, n)
    high = builder.shl(builder.zext(codes, words), ir.Constant(words, [8] * n))
    product = builder.mul(builder.zext(high, wide), builder.zext(_filled(builder, multiplier, n), wide))
    upper = builder.trunc(builder.lshr(product, ir.Constant(wide, [16] * n)), words)
    at = builder.bitcast(sums, words.as_pointer())
    builder.store(builder.add(builder.load(at, align=2), upper), at, align=2)


def _add_codes(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    types = signature.args
    sums = _address(context, builder, types[0], args[0], args[1])
    codes = builder.bitcast(
        _address(context, builder, types[2], args[2], args[3]), _vector(8, LANES).as_pointer()
    )
    _add_products(builder, sums, builder.load(codes, align=1), args[4], LANES)
    return context.get_dummy_value()


@instruction(_add_codes)
def add_codes(sums: u2_w, at: i8, codes: u1_r, begin: i8, multiplier: u2) -> None:
    """sums[at + i] += codes[begin + i] * multiplier >> 8, for i below LANES."""
    products = codes[begin : begin + LANES].astype(np.uint32) * np.uint32(multiplier)
    sums[at : at + LANES] += (products >> np.uint32(8)).astype(np.uint16)


@functools.cache
def _ways_to_spread() -> tuple[str, ...]:
    """How this processor can spread bytes by a mask, the fastest first: in a vector, in words, bit by bit."""
    features = llvmlite.binding.get_host_cpu_features()
    ways = ["vector"] if features.get("avx512vbmi2", False) else []
    # before Zen 3, AMD's processors take hundreds of cycles to spread the bits of a word
    if features.get("bmi2", False) and llvmlite.binding.get_host_cpu_name() not in ("znver1", "znver2"):
        ways.append("words")
    return (*ways, "bit by bit")


def _add_spread(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    types = signature.args
    sums = _address(context, builder, types[0], args[0], args[1])
    codes = _address(context, builder, types[2], args[2], args[3])
    mask = builder.trunc(args[4], ir.IntType(BLOCK))
    way = _ways_to_spread()[0]
    if way == "vector":
        bits, lanes = _vector(1, BLOCK), _vector(8, BLOCK)
        kind = ir.FunctionType(lanes, [codes.type, bits, lanes])
        spread = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.expandload.v{BLOCK}i8")
        found = builder.call(spread, [codes, builder.bitcast(mask, bits), ir.Constant(lanes, [0] * BLOCK)])
        _add_products(builder, sums, found, args[5], BLOCK)
    elif way == "words":
        array = context.make_array(types[2])(context, builder, args[2])
        end = builder.add(args[3], ir.Constant(ir.IntType(64), BLOCK))
        fits = builder.icmp_signed("<=", end, cgutils.unpack_tuple(builder, array.shape)[0])
        with builder.if_else(fits, likely=True) as (inside, at_the_end):
            with inside:
                _add_products(builder, sums, _spread_words(builder, codes, mask), args[5], BLOCK)
            with at_the_end:  # 16 bytes are read at once: not beyond the array
                _loop_over_bits(builder, sums, codes, mask, args[5])
    else:
        _loop_over_bits(builder, sums, codes, mask, args[5])
    return context.get_dummy_value()


def _spread_words(builder: Any, codes: Any, mask: Any) -> Any:
    """The codes at the places of the bits of `mask`, 0 elsewhere: 8 in each of two words."""
    word = ir.IntType(64)
    kind = ir.FunctionType(word, [word, word])
    deposit = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.bmi.pdep.64")
    low = builder.zext(builder.trunc(mask, ir.IntType(8)), word)
    high = builder.zext(builder.lshr(mask, ir.Constant(mask.type, 8)), word)
    pair = ir.Constant(_vector(64, 2), ir.Undefined)
    for i, bits in enumerate((low, high)):
        places = builder.mul(
            builder.call(deposit, [bits, ir.Constant(word, 0x0101010101010101)]), ir.Constant(word, 255)
        )
        at = codes if i == 0 else builder.gep(codes, [builder.ctpop(low)])
        packed = builder.load(builder.bitcast(at, word.as_pointer()), align=1)
        spread = builder.call(deposit, [packed, places])
        pair = builder.insert_element(pair, spread, ir.Constant(ir.IntType(32), i))
    return builder.bitcast(pair, _vector(8, BLOCK))


def _loop_over_bits(builder: Any, sums: Any, codes: Any, mask: Any, multiplier: Any) -> None:
    word, wide = ir.IntType(BLOCK), ir.IntType(32)
    before = builder.block
    loop, done = builder.append_basic_block("spread"), builder.append_basic_block("spread.end")
    builder.cbranch(builder.icmp_unsigned("!=", mask, ir.Constant(word, 0)), loop, done)
    builder.position_at_end(loop)
    left, next_code = builder.phi(word), builder.phi(codes.type)
    left.add_incoming(mask, before)
    next_code.add_incoming(codes, before)
    lane = builder.zext(builder.cttz(left, ir.Constant(ir.IntType(1), 1)), ir.IntType(64))
    at = builder.gep(sums, [lane])
    code = builder.zext(builder.load(next_code), wide)
    product = builder.lshr(builder.mul(code, builder.zext(multiplier, wide)), ir.Constant(wide, 8))
    builder.store(builder.add(builder.load(at), builder.trunc(product, ir.IntType(16))), at)
    rest = builder.and_(left, builder.sub(left, ir.Constant(word, 1)))
    left.add_incoming(rest, loop)
    next_code.add_incoming(builder.gep(next_code, [ir.Constant(ir.IntType(64), 1)]), loop)
    builder.cbranch(builder.icmp_unsigned("!=", rest, ir.Constant(word, 0)), loop, done)
    builder.position_at_end(done)


@instruction(_add_spread)
def add_spread(sums: u2_w, at: i8, codes: u1_r, begin: i8, mask: u8, multiplier: u2) -> None:
    """sums[at + i] += code * multiplier >> 8, for each bit i below BLOCK of the mask.

    The codes, one for each such bit in order, lie from codes[begin] on.
    """
    lanes = [i for i in range(BLOCK) if int(mask) >> i & 1]
    products = codes[begin : begin + len(lanes)].astype(np.uint32) * np.uint32(multiplier)
    sums[at + np.array(lanes, np.int64)] += (products >> np.uint32(8)).astype(np.uint16)


def _reached(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind = _vector(16, LANES)
    at = _address(context, builder, signature.args[0], args[0], args[1])
    values = builder.load(builder.bitcast(at, kind.as_pointer()), align=2)
    reached = builder.icmp_unsigned(">=", values, _filled(builder, args[2], LANES))
    return builder.bitcast(reached, ir.IntType(LANES))


@instruction(_reached)
def which_reach(sums: u2_r, at: i8, threshold: u2) -> u8:
    """A word whose bit i tells whether sums[at + i] is at least `threshold`, for i below LANES."""
    reached = np.flatnonzero(sums[at : at + LANES] >= threshold).tolist()
    return np.uint64(sum(1 << i for i in reached))


def _bits(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.ctpop(args[0])


@instruction(_bits)
def count_bits(word: u8) -> u8:
    """How many bits are set."""
    return np.uint64(int(word).bit_count())
