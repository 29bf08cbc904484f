"""What a search answers where no document shares a term with the query, or the best shares a stray one.

An inference-free query is its own words. Asked "can I get my money back" among tickets that say "refund"
only, it shares no term with any. Then, and only then, other queries are tried, the likeliest first:

1. With the words spelt as the index has them, where it lists words: `refnud` becomes `refund`.
2. The query as the encoder sees a document, so that it gets terms that it means and does not say. That takes
   the model, some ten milliseconds, and in the light distribution it is not there. Of a word that the encoder
   knows in pieces only it may know the meaning (`reimbursement`) or not (one of another language), so a hit
   has to hold more of such a query.
3. The words of the index that share half of their pairs of letters with those of the query: `museo` finds
   `museum`.

Where a document shares a term and its answer is weak ("can I get my money back" finds the tickets that say
"back"), the query gets the terms that it means besides its own, if that is asked for: it takes the model for
every such query, where a table look-up had answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splade_engine.engine.certainty import knows_any, respelt
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.errors import MissingExtraError
from splade_engine.index.words.text import words_of
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader

TERMS = 32  # the heaviest that the model gives a query
ROUGHLY = 0.5  # of the pairs of letters: museo and museum share .62
# "reimbursement" among tickets about refunds .41, "overpayment" .36, "photocopier" .17;
# "Urlaub" and "rimborso" 0, "Rechnung" .14
PIECES = 0.15
# Weight of what a query means beside its own, of 1. Of 24 everyday questions to a help desk 10 are answered
# with 0 and .25, 12 with .5, 13 with 1 and 2; weak queries of collections lose from 1 on (docs/searching.md).
MEANT = 0.5
NOTHING = "nothing in the index is like the query, by terms, meaning or spelling"
NO_WORD = "the query holds no word to look for"
WEAK = "weak"  # the value of the option `related` that asks for it
_model = threading.Lock()  # one query at a time: it takes all cores


@dataclass(frozen=True)
class Attempt:
    """Another query for the same question."""

    text: str
    vector: SparseVectors
    note: str
    # the share of its weight on terms of the best hit below which it counts as no answer
    least: float = 0.0


def attempts(
    encoder: SparseEncoder, encode: QueryEncoder, reader: IndexReader, text: str
) -> Iterator[Attempt]:
    """What may be searched in place of a query that finds nothing, the likeliest first."""
    spelt = respelt(encoder, reader, text)
    if spelt is not None:
        yield Attempt(spelt, encode([spelt], reader), f"nothing found: searched for {spelt}")
    vector = _meant(encoder, text)
    if vector is not None and vector.nnz:
        note = "no document shares a term with the query: these are by related terms"
        yield Attempt(text, vector, note, 0.0 if knows_any(encoder, text) else PIECES)
    rough = respelt(encoder, reader, text, ROUGHLY)
    if rough is not None and rough != spelt:
        note = f"nothing found: searched for words with most of the same letters, {rough}"
        yield Attempt(rough, encode([rough], reader), note)


def widened(encoder: SparseEncoder, query: SparseVectors, text: str) -> Attempt | None:
    """The query with the terms that it means beside its own, see `MEANT`; None without the model."""
    meant = _meant(encoder, text)
    if meant is None or not meant.nnz or not query.nnz:
        return None
    own = float(query.weights.sum())
    terms = np.concatenate([query.terms, meant.terms])
    share = MEANT * own / float(meant.weights.sum())
    weights = np.concatenate([query.weights, meant.weights * share])
    kept, places = np.unique(terms, return_inverse=True)
    sums = np.bincount(places, weights).astype(np.float32)
    vector = SparseVectors.from_valid(np.array([0, len(kept)], np.int64), kept, sums, query.n_terms)
    return Attempt(text, vector, "documents hold little of what the query says: related terms count besides")


def found_nothing(encoder: SparseEncoder, text: str) -> str:
    """What to say of a query that no attempt has answered."""
    if not words_of(text):
        return NO_WORD
    return (
        NOTHING
        if knows_any(encoder, text)
        else f"{NOTHING}; the encoder may not know its words, or its language"
    )


def _meant(encoder: SparseEncoder, text: str) -> SparseVectors | None:
    """The query as a document, each term weighed by what it weighs in a query; None without the model."""
    try:
        with _model:
            vector = encoder.encode_documents([text]).top_k(TERMS)
    except (MissingExtraError, ImportError):
        return None
    table = encoder.query_table
    if table is None:
        return vector
    single = vector.terms < len(table)  # a phrase of the query was looked for already
    terms = vector.terms[single]
    weights = vector.weights[single] * table[terms]
    kept = weights > 0
    indptr = np.array([0, int(kept.sum())], np.int64)
    return SparseVectors.from_valid(indptr, terms[kept], weights[kept], vector.n_terms)
