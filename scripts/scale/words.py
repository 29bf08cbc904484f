"""`WordEncoder`: the cheapest encoder there is, for measuring what is around an encoder.

A word is a term, by its checksum; its weight is log1p of its count. A processor encodes some ten thousand
passages per second, and every machine makes the same bits of them.
"""

from __future__ import annotations

import math
import re
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from splade_engine.vectors import SparseVectors

N_TERMS = 30_000
_WORD = re.compile(r"\w+")


class WordEncoder:
    """Has the face of a `SparseEncoder` that an engine and a server need."""

    name = "words"
    max_length = 1_000_000
    n_terms = N_TERMS
    query_table = None  # a query's terms weigh what they are given
    source = None

    def __init__(self, texts_per_second: float = 0.0) -> None:
        """At most so many texts per second, asleep for the rest of the time; 0: as fast as it can."""
        self.vocabulary = [f"word-{number}" for number in range(N_TERMS)]
        self._rate = texts_per_second

    def encode_documents(self, texts: Sequence[str], **_options: Any) -> SparseVectors:
        """A row per text."""
        if self._rate:
            time.sleep(len(texts) / self._rate)
        counted = (Counter(term for term, _, _ in self.word_spans(text)) for text in texts)
        return SparseVectors.from_dicts(
            [{term: math.log1p(n) for term, n in row.items()} for row in counted], N_TERMS
        )

    def encode_queries(self, texts: Sequence[str], **_options: Any) -> SparseVectors:
        """A row per text, of weights 1."""
        return SparseVectors.from_dicts(
            [dict.fromkeys((term for term, _, _ in self.word_spans(text)), 1.0) for text in texts], N_TERMS
        )

    def word_spans(self, text: str) -> list[tuple[int, int, int]]:
        """(term, start, end) of each word."""
        return [(_term(m[0]), m.start(), m.end()) for m in _WORD.finditer(text)]

    def fingerprint(self) -> dict[str, str | int]:
        """The same on every machine."""
        return {
            "name": self.name,
            "hash": "0" * 32,
            "max_length": self.max_length,
            "n_terms": N_TERMS,
            "version": 2,
        }


def _term(word: str) -> int:
    return zlib.crc32(word.lower().encode()) % N_TERMS
