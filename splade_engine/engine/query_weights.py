"""`CollectionIdf`: inference-free queries weighed for the collection that they search.

A query table holds the idf of a large, general collection. In a collection about libraries the word `library`
says little, whatever the table thinks; and a term that the encoder adds to many documents says less than the
table thinks, because the table counted words. The index knows in how many of its documents each term stands,
so the weight of term t becomes

    w_t' = c_t ((1 - a) w_t + a ln(1 + (N - n_t + 0.5) / (n_t + 0.5))),    a = 0.5 N / (N + 100)

with w_t from the table, c_t how often the query holds t (1 unless the encoder counts), N documents, n_t of
them holding t: the idf of BM25, trusted as much as the table once the collection is large enough to count in
(100 documents speak against it; at a thousand a = .45). Numbers: docs/training.md.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections.idf import bm25_idf
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index import IndexReader

SHARE = 0.5  # of the collection's own idf; .5 and 1 were compared, 1 was no better than 0
PRIOR = 100  # documents


class CollectionIdf:
    """The idf of a generation of an index, and how much it is trusted.

    Attributes:
        idf: float32[V].
        share: the share `a` of it in a query weight, below 0.5.
    """

    def __init__(self, frequencies: NDArray[np.int64], n_docs: int) -> None:
        self.idf: NDArray[np.float32] = bm25_idf(frequencies, n_docs).astype(np.float32)
        self.share = SHARE * n_docs / (n_docs + PRIOR)

    def weigh(self, queries: SparseVectors, table: NDArray[np.float32]) -> SparseVectors:
        """The queries with their weights blended; terms and their order stay.

        Args:
            queries: encoded with `table`.
            table: float32[V], the weight of a token that stands in a query once. Terms behind it (phrases)
                are left as they are.
        """
        share = np.float32(self.share)
        # all of them, without phrases: a search would notice the mask
        single = slice(None) if queries.n_terms == len(table) else queries.terms < len(table)
        terms = queries.terms[single]
        once = table[terms]
        weights = queries.weights.copy()
        weights[single] = weights[single] / once * ((1 - share) * once + share * self.idf[terms])
        return SparseVectors.from_valid(queries.indptr, queries.terms, weights, queries.n_terms)


class QueryEncoder:
    """Query texts to the vectors that an index is searched with.

    Args:
        encoder: a `SparseEncoder`.
        collection: weigh queries from a table (`encoder.query_table`) by the collection too; queries of a
            model are left alone, it has weighed them already.
    """

    def __init__(self, encoder: Any, *, collection: bool = True) -> None:
        self.encoder = encoder
        self.collection = collection and getattr(encoder, "query_table", None) is not None
        # a generation is counted once, and forgotten when nobody reads it any more
        self._counted: WeakKeyDictionary[IndexReader, CollectionIdf] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or another process, counts for itself."""
        return partial(type(self), collection=self.collection), (self.encoder,)

    def __call__(self, texts: Any, reader: IndexReader) -> SparseVectors:
        """One row per text."""
        vectors: SparseVectors = self.encoder.encode_queries(texts)
        if not self.collection:
            return vectors
        counted = self._counted.get(reader)
        if counted is None:
            counted = self._counted[reader] = CollectionIdf(reader.document_frequencies(), len(reader))
        return counted.weigh(vectors, self.encoder.query_table)
