"""Document expansion: words that a document does not hold and a query for it may.

doc2query (arXiv 1904.08375) has a model write queries, TILDE (arXiv 2108.08513) takes the likeliest terms of
a masked language model. A sparse encoder weighs terms that a text does not hold anyway, so any of them can
expand documents for what weighs a text's own words alone: uniCOIL, DeepImpact, BM25.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from splade_engine.arguments import check_many, whole
from splade_engine.collections.documents import Document
from splade_engine.encoder import SparseEncoder
from splade_engine.errors import InvalidInputError

Expand = Callable[[Sequence[str]], Sequence[str]]
"""Texts to what is appended to each: `TermExpansion`, or a doc2query model's queries joined by spaces."""

_MARKS = "\u2581\u0120"  # before the first piece of a word, in SentencePiece's and GPT-2's vocabularies
_AT_A_TIME = 256


class TermExpansion:
    """The heaviest terms of a text that are whole words and do not stand in it, heaviest first.

    Args:
        encoder: weighs terms over a vocabulary of words.
        terms: appended to each text at most.

    Raises:
        InvalidInputError: if the encoder's terms are no words, or `terms` is below 1.
    """

    def __init__(self, encoder: SparseEncoder, terms: int = 30) -> None:
        terms = whole("expansion: terms", terms, 1)
        names = [name.lstrip(_MARKS) for name in encoder.vocabulary]
        pieces = any(name.startswith(tuple(_MARKS)) for name in encoder.vocabulary)
        self._words = [
            word if len(word) > 1 and word.isalnum() and (name != word or not pieces) else ""
            for name, word in zip(encoder.vocabulary, names, strict=True)
        ]
        if encoder.checkpoint.kind.term_names(encoder.n_terms) is not None or not any(self._words):
            raise InvalidInputError(f"expansion: the terms of {encoder.name} are no words")
        self.encoder, self.terms = encoder, terms

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """What is appended to each text."""
        out = []
        for text, (terms, weights) in zip(texts, self.encoder.encode_documents(texts), strict=True):
            own = {term for term, _, _ in self.encoder.word_spans(text)}
            held = set(text.lower().split())
            new = [
                word
                for term in terms[(-weights).argsort(kind="stable")].tolist()
                if term not in own and (word := self._words[term]) and word.lower() not in held
            ]
            out.append(" ".join(new[: self.terms]))
        return out


def expanded(documents: Iterable[Document], expand: Expand) -> Iterator[Document]:
    """The documents, each with its expansion after its text; read and expanded some hundred at a time.

    Raises:
        InvalidInputError: these are no documents; later, if `expand` does not give one text for each.
    """
    check_many("documents", documents, "documents")
    return _expanded(iter(documents), expand)


def _expanded(left: Iterator[Document], expand: Expand) -> Iterator[Document]:
    while group := list(islice(left, _AT_A_TIME)):
        added = expand([document.indexed_text for document in group])
        if len(added) != len(group) or not all(isinstance(text, str) for text in added):
            raise InvalidInputError(f"expansion: {len(added)} texts for {len(group)} documents")
        for document, text in zip(group, added, strict=True):
            yield replace(document, text=f"{document.text}\n{text}" if text.strip() else document.text)
