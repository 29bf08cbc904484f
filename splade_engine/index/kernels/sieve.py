"""Which entries of a row belong to terms of the query: 32 looked at by few instructions.

A set of term numbers as 1,024 bits: a number's lower 6 bits choose one of 64 words, the next 4 a bit of it.
The words lie in two vector registers (AVX-512), or in eight of 16 bytes each (AVX2). Numbers that share those
10 bits cannot be told apart, so a few more than the query's pass (Bloom, CACM 13(7), 1970, with one hash
function).
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir

from splade_engine.index.kernels.dtypes import b1, i8, u1_r, u2_r, u2_w, u4_r, u8, u8_r
from splade_engine.index.kernels.jit import helper, instruction

cgutils: Any = importlib.import_module("numba.core.cgutils")

SIEVE = 64  # words
SIFTED = 64  # entries that are looked at together, 32 in a register
_LANES = 32


@helper
def add_to_sieve(sieve: u2_w, term: i8) -> None:
    """Let a term number pass."""
    sieve[np.uint64(term & 63)] |= np.uint16(1 << ((term >> 6) & 15))


@functools.cache
def _ways_to_look_up() -> tuple[str, ...]:
    """How this processor can look up numbers, the fastest first: 32 words, 32 bytes, one by one."""
    features = llvmlite.binding.get_host_cpu_features()
    known = (("words", "avx512bw"), ("bytes", "avx2"))
    return (*(way for way, feature in known if features.get(feature, False)), "one by one")


def _can_sift(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    terms, blocks = (kind.dtype.bitwidth for kind in signature.args)
    return ir.Constant(ir.IntType(1), int(_ways_to_look_up()[0] in _PASSING and terms == 16 and blocks == 8))


@instruction(_can_sift)
def can_sift(terms: u1_r | u2_r | u4_r, blocks: u1_r | u8_r) -> b1:
    """Whether rows that store these are sifted here: a constant of the compiled variant.

    Their term numbers have 16 bits and are whole, and the processor looks words up by them.
    """
    return terms.itemsize == 2 and blocks.itemsize == 1


def _vector(bits: int) -> Any:
    return ir.VectorType(ir.IntType(bits), _LANES)


def _filled(bits: int, value: int) -> Any:
    return ir.Constant(_vector(bits), [value] * _LANES)


def _load(builder: Any, data: Any, at: Any, n: int) -> Any:
    kind = ir.VectorType(ir.IntType(16), n)
    return builder.load(builder.bitcast(builder.gep(data, [at]), kind.as_pointer()), align=2)


def _passing_words(builder: Any, sieve: Any, numbers: Any) -> Any:
    """Which of 32 numbers pass, by a table of 64 words in two registers (AVX-512)."""
    low, high = (_load(builder, sieve, ir.Constant(ir.IntType(64), at), _LANES) for at in (0, _LANES))
    kind = ir.FunctionType(_vector(16), [_vector(16)] * 3)
    look_up = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.hi.512")
    word = builder.call(look_up, [low, numbers, high])
    place = builder.and_(builder.lshr(numbers, _filled(16, 6)), _filled(16, 15))
    return builder.and_(word, builder.shl(_filled(16, 1), place))


def _passing_bytes(builder: Any, sieve: Any, numbers: Any) -> Any:
    """The same by eight tables of 16 bytes (AVX2): a word's two bytes lie beside each other."""
    kind = ir.FunctionType(_vector(8), [_vector(8)] * 2)
    look_up = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.pshuf.b")

    def bits(first: int, count: int, to: int = 0) -> Any:
        moved = builder.shl if to > first else builder.lshr
        found = moved(numbers, _filled(16, abs(to - first)))
        return builder.trunc(builder.and_(found, _filled(16, (2**count - 1) << to)), _vector(8))

    lower_table = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [*range(16), *range(16)])
    place = builder.or_(bits(0, 3, to=1), bits(9, 1))  # of eight words, and of a word's two bytes
    found = []
    for table in range(8):
        packed = _load(builder, sieve, ir.Constant(ir.IntType(64), 8 * table), 8)
        single = builder.bitcast(packed, ir.VectorType(ir.IntType(8), 16))
        doubled = builder.shuffle_vector(single, ir.Constant(single.type, ir.Undefined), lower_table)
        found.append(builder.call(look_up, [doubled, place]))
    for bit in (3, 4, 5):  # of the number of the table
        odd = builder.icmp_unsigned("!=", bits(bit, 1), _filled(8, 0))
        found = [builder.select(odd, b, a) for a, b in zip(found[::2], found[1::2], strict=True)]
    ones = ir.Constant(_vector(8), [1 << i for i in range(8)] * (_LANES // 8))
    return builder.and_(found[0], builder.call(look_up, [ones, bits(6, 3)]))


_PASSING = {"words": _passing_words, "bytes": _passing_bytes}


def _sift(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    passing = _PASSING.get(_ways_to_look_up()[0])
    if passing is None:
        return ir.Constant(ir.IntType(64), 0)  # where `can_sift` says so, it is not called
    terms, sieve = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2))
    halves = []
    for more in (0, _LANES):
        at = builder.add(args[1], ir.Constant(ir.IntType(64), more))
        found = passing(builder, sieve, _load(builder, terms, at, _LANES))
        passed = builder.icmp_unsigned("!=", found, ir.Constant(found.type, [0] * _LANES))
        halves.append(builder.zext(builder.bitcast(passed, ir.IntType(_LANES)), ir.IntType(64)))
    return builder.or_(halves[0], builder.shl(halves[1], ir.Constant(ir.IntType(64), _LANES)))


@instruction(_sift)
def sift(terms: u1_r | u2_r | u4_r, at: i8, sieve: u2_r) -> u8:
    """A word whose bit i tells whether terms[at + i], of 16 bits, passes the sieve, for i below SIFTED."""
    word = 0
    for i, term in enumerate(terms[at : at + SIFTED].tolist()):
        word |= (int(sieve[term & 63]) >> ((term >> 6) & 15) & 1) << i
    return np.uint64(word)
