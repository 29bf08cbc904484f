"""How the rows of a segment can be stored: the variants, small and closed, with what each needs where.

Term numbers and weights are chosen apart from each other. Every kernel that reads rows is compiled for each
pair when it is first used, so that no loop asks what it reads. What each costs in recall, bytes and time is
measured in docs/performance.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.index.config import BuildConfig
from splade_engine.index.segment.arrays import Arrays

HALF_MAX = 65504.0
HALF_SMALLEST = 2.0**-24
# A row of 8-bit codes has one scale. It is cut to 16 significant bits, so that code * scale is exact in
# float32: rows that are read, joined and stored again keep every bit.
LARGEST_CODE = np.float32(255.0)
SCALE_BITS = np.uint32(0xFFFFFF00)
SMALLEST_SCALE = np.float32(2.0**-120)
LARGEST_SCALE = np.float32(257 * 2.0**112)  # 255 times as much is the largest float32, cut alike


@dataclass(frozen=True)
class WeightKind:
    """One way to store weights.

    Attributes:
        name: as in `BuildConfig.weights`.
        section: the array that holds them.
    """

    name: str
    section: str


@dataclass(frozen=True)
class TermKind:
    """One way to store the term numbers of rows.

    Attributes:
        name: as in `BuildConfig.terms`.
        section: the array with an item for each entry.
        low_bits: how many bits of a number an item holds; the rest is in `doc_term_blocks`. 0: all of it.
    """

    name: str
    section: str
    low_bits: int = 0

    def n_blocks(self, n_local: int) -> int:
        """How many different upper parts the numbers below `n_local` have; 0 where there are none."""
        return -(-n_local >> self.low_bits) if self.low_bits else 0


FLOAT16 = WeightKind("float16", "doc_weights_16")
FLOAT32 = WeightKind("float32", "doc_weights_32")
UINT8 = WeightKind("uint8", "doc_weights_8")
WEIGHT_KINDS = (FLOAT16, FLOAT32, UINT8)

PLAIN_16 = TermKind("plain", "doc_terms_16")
PLAIN_32 = TermKind("plain", "doc_terms_32")
SPLIT_8 = TermKind("split", "doc_term_lows_8", 8)
SPLIT_16 = TermKind("split", "doc_term_lows_16", 16)
TERM_KINDS = (PLAIN_16, PLAIN_32, SPLIT_8, SPLIT_16)


def stored_weights(arrays: Arrays) -> WeightKind:
    """How the weights of these arrays are stored."""
    if len(arrays["doc_scales"]):
        return UINT8
    return FLOAT32 if len(arrays["doc_weights_32"]) else FLOAT16


def stored_terms(arrays: Arrays) -> TermKind:
    """How the term numbers of these arrays are stored."""
    return next((kind for kind in TERM_KINDS if len(arrays[kind.section])), PLAIN_16)


def weights_for(config: BuildConfig, largest: float) -> WeightKind:
    """The kind that `config` asks for, or that fits weights up to `largest`.

    Raises:
        InvalidInputError: if float16 is asked for and does not hold them.
    """
    # weights below the smallest float16 are raised to it; where even the largest is near it that would
    # distort
    fits = 2.0**-10 <= largest <= HALF_MAX
    if config.weights == "float16" and not fits:
        raise InvalidInputError(
            f"weights: float16 needs a largest weight of 2^-10 to {HALF_MAX:.0f}, got {largest:g}"
        )
    if config.weights == "auto":
        return FLOAT16 if fits else FLOAT32
    return next(kind for kind in WEIGHT_KINDS if kind.name == config.weights)


def terms_for(config: BuildConfig, n_local: int) -> TermKind:
    """The kind that `config` asks for, as wide as numbers below `n_local` need."""
    narrow, wide = (SPLIT_8, SPLIT_16) if config.terms == "split" else (PLAIN_16, PLAIN_32)
    return narrow if n_local <= 1 << 16 else wide
