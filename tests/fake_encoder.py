"""A tiny encoder in plain Python with the face of `SparseEncoder`, for tests that are not about encoding.

A document's terms are its known words, weighted by log1p(count), and the expansions of `EXPANSIONS` at half
weight. A query's terms weigh 1.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from splade_engine.vectors import SparseVectors

WORDS = [
    "[UNK]",
    "moon",
    "sea",
    "tide",
    "pull",
    "bread",
    "yeast",
    "flour",
    "bake",
    "rise",
    "water",
    "salt",
    "star",
    "night",
    "sky",
    "ship",
    "sail",
    "wind",
    "wave",
    "storm",
    "the",
    "a",
    "of",
    "and",
    "needs",
    "in",
    "cold",
    "warm",
    "small",
    "large",
]
EXPANSIONS = {"bread": "bake", "ship": "sail", "moon": "night"}
_WORD = re.compile(r"\w+")


class FakeEncoder:
    """Counts its calls; `fail_after` documents it raises what `failure` is."""

    query_table = None  # so that scores are plain dot products, whatever the collection

    def __init__(self, name="fake", max_length=64, fail_after=None, failure=KeyboardInterrupt):
        self.name = name
        self.max_length = max_length
        self.vocabulary = list(WORDS)
        self.n_terms = len(WORDS)
        self.source = None
        self.encoded = 0
        self.options = []
        self.fail_after = fail_after
        self.failure = failure

    def encode_documents(self, texts, **options):
        self.options.append(options)
        rows = []
        for text in texts:
            if self.fail_after is not None and self.encoded >= self.fail_after:
                raise self.failure
            self.encoded += 1
            counts = Counter(term for term, _, _ in self.word_spans(text) if term)
            row = {term: math.log1p(n) for term, n in counts.items()}
            for word, added in EXPANSIONS.items():
                if WORDS.index(word) in counts:
                    row.setdefault(WORDS.index(added), 0.5)
            rows.append(row)
        return SparseVectors.from_dicts(rows, self.n_terms)

    def encode_queries(self, texts, **options):
        rows = [{term: 1.0 for term, _, _ in self.word_spans(text) if term} for text in texts]
        return SparseVectors.from_dicts(rows, self.n_terms)

    def word_spans(self, text):
        place = {word: i for i, word in enumerate(WORDS)}
        return [(place.get(m[0].lower(), 0), m.start(), m.end()) for m in _WORD.finditer(text)]

    def fingerprint(self):
        return {
            "name": self.name,
            "hash": "0" * 32,
            "max_length": self.max_length,
            "n_terms": self.n_terms,
            "version": 2,
        }
