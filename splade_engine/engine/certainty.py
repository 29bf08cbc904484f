"""How sure an answer is: how much of what was asked the best hit holds, and what may have been meant instead.

The share of the query's weight on terms that the best hit has is near 1 where it speaks of everything that
was asked, and small where it shares a stray word. Among many documents the best stray match holds more of a
query than among few, so what is called weak depends on their number; docs/searching.md has what that was
measured on.
"""

from __future__ import annotations

import re
from math import log
from typing import TYPE_CHECKING

from splade_engine.index.words.rank import ALIKE
from splade_engine.index.words.text import words_of
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader

WEAK = 0.35  # of 400 documents or more
_WORD = re.compile(r"\w+")
_SHORTEST = 4  # letters of a word that may be a slip


def covered(query: SparseVectors, document: SparseVectors, n_tokens: int | None = None) -> float:
    """The share of a query's weight on terms that a document has; both one row. 0 for an empty query.

    With `n_tokens` only terms below it count.
    """
    held = set(document.row(0)[0].tolist())
    terms, weights = query.row(0)
    if n_tokens is not None:
        terms, weights = terms[terms < n_tokens], weights[terms < n_tokens]
    whole = float(weights.sum())
    shared = sum(w for term, w in zip(terms.tolist(), weights.tolist(), strict=True) if term in held)
    return float(shared / whole) if whole > 0 else 0.0


def weak_below(n_docs: int) -> float:
    """The share of a query below which the best hit among so many documents is called weak.

    0.15 of three documents, 0.20 of ten, 0.29 of a hundred.
    """
    return min(WEAK, 0.11 + 0.04 * log(max(n_docs, 1)))


def counted_terms(encoder: SparseEncoder) -> int | None:
    """The terms that `covered` counts: not pairs, whose words are counted already. None: all."""
    checkpoint = getattr(encoder, "checkpoint", None)
    pairs = checkpoint is not None and checkpoint.settings.phrase_terms == "pairs"
    return checkpoint.n_terms if checkpoint is not None and pairs else None


def respelt(encoder: SparseEncoder, reader: IndexReader, text: str, alike: float = ALIKE) -> str | None:
    """The text with each word that looks like a slip as the documents spell it; None where none does.

    A slip is a word of letters that no document holds and that the encoder does not know whole, where the
    documents hold one like it (`IndexReader.near_word`, which takes `alike`). None for an index without word
    lists.
    """
    if not reader.has_words:
        return None
    other = {}
    for word in dict.fromkeys(words_of(text)):
        if len(word) >= _SHORTEST and word.isalpha() and not _known(encoder, word):
            near = reader.near_word(word, alike=alike)
            if near is not None:
                other[word] = near
    if not other:
        return None
    return _WORD.sub(lambda found: other.get(found[0].lower(), found[0]), text)


def knows_any(encoder: SparseEncoder, text: str) -> bool:
    """Whether the encoder has one of the words as one term; of other languages it has pieces, and letters."""
    return any(len(word) > 1 and _known(encoder, word) for word in dict.fromkeys(words_of(text)))


def _known(encoder: SparseEncoder, word: str) -> bool:
    """Whether the encoder has the word as one term: then it is a word, though no document holds it."""
    spans = encoder.word_spans(word)
    return len(spans) == 1 and encoder.vocabulary[spans[0][0]].strip("▁Ġ").lower() == word
