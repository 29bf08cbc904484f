"""Why a document was found, told in full: the score of a sparse match is a sum over shared terms.

score = sum over terms of query weight x document weight. A document's term may be a word of its text or one
that the encoder added (an expansion); the tokenizer's offsets tell the two apart and give the words to
highlight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from splade_engine.engine.fusion import Side
from splade_engine.engine.snippets import READ
from splade_engine.index.words.rank import WordMatch
from splade_engine.index.words.text import places_of
from splade_engine.plain_text import one_line, whole_behind
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder

# (term id, start, end) of every word piece of a text, start and end being those of its whole word
WordSpans = Callable[[str], Sequence[tuple[int, int, int]]]
Span = tuple[int, int]


class TermNames(Protocol):
    """The name of every term: the vocabulary, as a list, or what `term_names` gives."""

    def __getitem__(self, term: int, /) -> str: ...


class _Named:
    """A vocabulary whose phrase terms have the names that a query gives them."""

    def __init__(self, vocabulary: Sequence[str], phrases: Mapping[int, str]) -> None:
        self._vocabulary, self._phrases = vocabulary, phrases

    def __getitem__(self, term: int, /) -> str:
        return self._phrases.get(term) or self._vocabulary[term]


def term_names(encoder: SparseEncoder, query: str) -> TermNames:
    """What the terms of a query are called: its own words for phrase terms, else as the vocabulary has it.

    Args:
        encoder: of the query.
        query: its text; empty where it came as a vector.
    """
    checkpoint = getattr(encoder, "checkpoint", None)
    if checkpoint is None or checkpoint.settings.phrase_terms == "none" or not query:
        return encoder.vocabulary
    return _Named(encoder.vocabulary, encoder.term_names(query))


@dataclass(frozen=True, slots=True)
class TermMatch:
    """One term that query and document share.

    Attributes:
        term: as the vocabulary writes it ("##ing" is the end of a word), a phrase as the query has it.
        query_weight: its weight in the query.
        document_weight: its weight in the document, as stored in the index.
        contribution: the product of the two, its part of the score.
        share: its part of the score, from 0 to 1.
        words: the words of title and text it stands in, in order of appearance; empty for an expansion.
    """

    term: str
    query_weight: float
    document_weight: float
    contribution: float
    share: float
    words: tuple[str, ...] = ()

    @property
    def is_expansion(self) -> bool:
        """Whether the encoder added the term: it does not occur in the document."""
        return not self.words


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The sum behind the score of one hit.

    Attributes:
        id: of the document.
        score: the sum of the contributions.
        matches: the shared terms, largest contribution first.
        missing: (term, query weight) of the query's terms that the document lacks, heaviest first.
        title_spans: (start, end) of the words in the title that matched.
        text_spans: the same in the text.
        sides: of a hybrid or reranked search: rank and score on each side, which make the score of the hit.
        words: the words that counted as they are written, with their parts of the BM25 score.
    """

    id: str
    score: float
    matches: tuple[TermMatch, ...]
    missing: tuple[tuple[str, float], ...] = ()
    title_spans: tuple[Span, ...] = ()
    text_spans: tuple[Span, ...] = ()
    sides: tuple[Side, ...] = ()
    words: tuple[WordMatch, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as `search --json --explain` writes them."""
        return {
            "score": self.score,
            "matches": [{**asdict(match), "expansion": match.is_expansion} for match in self.matches],
            "missing": [{"term": term, "query_weight": weight} for term, weight in self.missing],
            "title_spans": self.title_spans,
            "text_spans": self.text_spans,
            **({"sides": [asdict(side) for side in self.sides]} if self.sides else {}),
            **({"words": [asdict(word) for word in self.words]} if self.words else {}),
        }

    def __str__(self) -> str:
        """The sum in words and numbers, one line a term."""
        lines = [f"{one_line(self.id)}: score {self.score:.2f}"]
        for side in self.sides:
            place = f"rank {side.rank}" if side.rank else "not found"
            lines.append(f"{side.name}: {place}, score {side.score:.3f}, adds {side.contribution:.4g}")
        lines += [f"the word {w.word}: {w.count} times, {w.contribution:.3f}" for w in self.words]
        lines.append(
            f"{'term':<16} {'query':>7} {'document':>9} {'product':>8} {'share':>6}  in the document"
        )
        for m in self.matches:
            words = one_line(", ".join(m.words[:4])) or "(added by the encoder)"
            lines.append(
                f"{one_line(m.term):<16} {m.query_weight:7.3f} {m.document_weight:9.3f} "
                f"{m.contribution:8.3f} {m.share:6.1%}  {words}"
            )
        if self.missing:
            lacking = ", ".join(one_line(term) for term, _ in self.missing)
            lines.append(f"not in the document: {lacking}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from splade_engine.engine.html import explanation_html

        return explanation_html(self)


def explain(
    doc_id: str,
    query: SparseVectors,
    document: SparseVectors,
    vocabulary: TermNames,
    title: str = "",
    text: str = "",
    word_spans: WordSpans | None = None,
    sides: Sequence[Side] = (),
    words: Sequence[WordMatch] = (),
) -> Explanation:
    """Explain one query-document pair.

    Args:
        doc_id: id of the document.
        query: one row.
        document: one row over the same vocabulary, as stored.
        vocabulary: token of each term id.
        title: title of the document, for the words; no more than 262,144 characters of it are looked at.
        text: its text, likewise.
        word_spans: finds the words of a text; None: every term is listed without its words.
        sides: of a fusion, see `Explanation`.
        words: that count as they are written, see `Explanation`.
    """
    query_terms, query_weights = query.row(0)
    shared, in_query, in_document = np.intersect1d(query_terms, document.row(0)[0], return_indices=True)
    q = query_weights[in_query].astype(np.float64)
    d = document.row(0)[1][in_document].astype(np.float64)
    products = q * d
    score = float(products.sum())
    wanted = set(shared.tolist())
    written = {match.word for match in words}
    title_words, title_spans = _words(title[:READ], wanted, word_spans, written)
    text_words, text_spans = _words(text[:READ], wanted, word_spans, written)
    matches = []
    for i in np.argsort(-products, kind="stable"):
        term = int(shared[i])
        found = dict.fromkeys(title_words.get(term, []) + text_words.get(term, []))
        share = float(products[i] / score)
        matches.append(
            TermMatch(vocabulary[term], float(q[i]), float(d[i]), float(products[i]), share, tuple(found))
        )
    lacking = [i for i in np.argsort(-query_weights, kind="stable") if int(query_terms[i]) not in wanted]
    missing = tuple((vocabulary[int(query_terms[i])], float(query_weights[i])) for i in lacking)
    return Explanation(
        doc_id, score, tuple(matches), missing, title_spans, text_spans, tuple(sides), tuple(words)
    )


def _words(
    text: str, wanted: set[int], word_spans: WordSpans | None, written: Collection[str] = ()
) -> tuple[dict[int, list[str]], tuple[Span, ...]]:
    """Words of each wanted term, lower case, and the spans in order: of these, and of what is written so."""
    words: dict[int, list[str]] = {}
    spans: dict[Span, None] = {}
    if text and word_spans is not None:
        for term, start, end in word_spans(text):
            if term in wanted:
                end = whole_behind(text, end)  # an accent that stands alone belongs to its letter
                words.setdefault(term, []).append(text[start:end].lower())
                spans[start, end] = None
    spans |= dict.fromkeys(places_of(written, text) if written else ())
    return words, tuple(sorted(spans)) if written else tuple(spans)
