"""What a search answers where no document shares a term with the query: the best that there is, and says so.

An inference-free query is its own words. Asked "can I get my money back" among tickets that say "refund"
only, it shares no term with any. Then, and only then, two other queries are tried:

- with the words spelt as the index has them, where it lists words: `refnud` becomes `refund`;
- the query as the encoder sees a document, so that it gets terms that it means and does not say. That takes
  the model, some ten milliseconds, and in the light distribution it is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splade_engine.engine.certainty import respelt
from splade_engine.engine.query_weights import QueryEncoder
from splade_engine.errors import MissingExtraError
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import IndexReader

TERMS = 32  # the heaviest that the model gives a query
_model = threading.Lock()  # one query at a time: it takes all cores


@dataclass(frozen=True)
class Attempt:
    """Another query for the same question."""

    text: str
    vector: SparseVectors
    note: str


def attempts(
    encoder: SparseEncoder, encode: QueryEncoder, reader: IndexReader, text: str
) -> Iterator[Attempt]:
    """What may be searched in place of a query that finds nothing, the likeliest first."""
    spelt = respelt(encoder, reader, text)
    if spelt is not None:
        yield Attempt(spelt, encode([spelt], reader), f"nothing found: searched for {spelt}")
    vector = _meant(encoder, text)
    if vector is not None and vector.nnz:
        yield Attempt(text, vector, "no document shares a term with the query: these are by related terms")


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
