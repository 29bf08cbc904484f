"""How the term numbers of rows can be stored: whole, or split into lower and upper bits.

Chosen apart from the weights (`weights/`). Every kernel that reads rows is compiled for each pair when it is
first used, so that no loop asks what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.index.config import BuildConfig
from splade_engine.index.segment.arrays import Arrays


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


PLAIN_16 = TermKind("plain", "doc_terms_16")
PLAIN_32 = TermKind("plain", "doc_terms_32")
SPLIT_8 = TermKind("split", "doc_term_lows_8", 8)
SPLIT_16 = TermKind("split", "doc_term_lows_16", 16)
TERM_KINDS = (PLAIN_16, PLAIN_32, SPLIT_8, SPLIT_16)


def stored_terms(arrays: Arrays) -> TermKind:
    """How the term numbers of these arrays are stored."""
    return next((kind for kind in TERM_KINDS if len(arrays[kind.section])), PLAIN_16)


def terms_for(config: BuildConfig, n_local: int) -> TermKind:
    """The kind that `config` asks for, as wide as numbers below `n_local` need."""
    narrow, wide = (SPLIT_8, SPLIT_16) if config.terms == "split" else (PLAIN_16, PLAIN_32)
    return narrow if n_local <= 1 << 16 else wide
