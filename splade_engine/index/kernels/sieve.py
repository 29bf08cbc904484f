"""Which entries of a row belong to terms of the query: 32 looked at by few instructions.

A set of term numbers as 1,024 bits: a number's lower 6 bits choose one of 64 words, which lie in two vector
registers, the next 4 a bit of it. Numbers that share those 10 bits cannot be told apart, so a few more than
the query's pass (Bloom, CACM 13(7), 1970, with one hash function).
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
def _looks_up_words() -> bool:
    """Whether this processor looks numbers up in a table of 64 words at once."""
    return bool(llvmlite.binding.get_host_cpu_features().get("avx512bw", False))


def _can_sift(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    terms, blocks = (kind.dtype.bitwidth for kind in signature.args)
    return ir.Constant(ir.IntType(1), int(_looks_up_words() and terms == 16 and blocks == 8))


@instruction(_can_sift)
def can_sift(terms: u1_r | u2_r | u4_r, blocks: u1_r | u8_r) -> b1:
    """Whether rows that store these are sifted here: a constant of the compiled variant.

    Their term numbers have 16 bits and are whole, and the processor looks words up by them.
    """
    return terms.itemsize == 2 and blocks.itemsize == 1


def _sift(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    if not _looks_up_words():
        return ir.Constant(ir.IntType(64), 0)  # where `can_sift` says so, it is not called
    words = ir.VectorType(ir.IntType(16), _LANES)
    kind = ir.FunctionType(words, [words] * 3)
    look_up = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.hi.512")

    def filled(value: int) -> Any:
        return ir.Constant(words, [value] * _LANES)

    def load(array: int, at: Any, more: int) -> Any:
        view = context.make_array(signature.args[array])(context, builder, args[array])
        place = builder.add(at, ir.Constant(ir.IntType(64), more))
        return builder.load(builder.bitcast(builder.gep(view.data, [place]), words.as_pointer()), align=2)

    none = ir.Constant(ir.IntType(64), 0)
    low, high = (load(2, none, more) for more in (0, _LANES))
    halves = []
    for more in (0, _LANES):
        numbers = load(0, args[1], more)
        word = builder.call(look_up, [low, numbers, high])
        place = builder.and_(builder.lshr(numbers, filled(6)), filled(15))
        passed = builder.icmp_unsigned("!=", builder.and_(word, builder.shl(filled(1), place)), filled(0))
        halves.append(builder.zext(builder.bitcast(passed, ir.IntType(_LANES)), ir.IntType(64)))
    return builder.or_(halves[0], builder.shl(halves[1], ir.Constant(ir.IntType(64), _LANES)))


@instruction(_sift)
def sift(terms: u1_r | u2_r | u4_r, at: i8, sieve: u2_r) -> u8:
    """A word whose bit i tells whether terms[at + i], of 16 bits, passes the sieve, for i below SIFTED."""
    word = 0
    for i, term in enumerate(terms[at : at + SIFTED].tolist()):
        word |= (int(sieve[term & 63]) >> ((term >> 6) & 15) & 1) << i
    return np.uint64(word)
