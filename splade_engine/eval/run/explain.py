"""Which terms made a sparse system's scores, kept with the results.

With them a report can say why a query was won.

For each judged query: its own terms, and the shared terms of two documents: the best-ranked relevant one
(or, where the run has none, the first relevant document of the judgments) and the best-ranked one that is
not relevant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.eval.systems.sparse import Sparse
from splade_engine.eval.systems.sparse_collection import SparseCollection, sparse_collection

if TYPE_CHECKING:
    from splade_engine.eval.run.results import Result
    from splade_engine.eval.run.runs import Ranking
    from splade_engine.eval.run.workbench import Workbench
    from splade_engine.eval.systems.base import System

QUERY_TERMS = 12
MATCHED_TERMS = 8


def explanations(system: System, bench: Workbench, result: Result) -> dict[str, Any] | None:
    """The terms behind the scores, by query id.

    Each query has `query` [[term, weight], ...], and `relevant` and `other`, {id, rank, terms: [[term,
    score], ...]}.

    None for systems that are no single sparse retrieval.
    """
    if not isinstance(system, Sparse) or result.run is None:
        return None
    collection = sparse_collection(bench, system.encoder, system.idf, adapt=system.adapt)
    split = bench.dataset.test
    vectors = collection.query_vectors(split)
    number_of = {query: i for i, query in enumerate(split.queries)}
    out: dict[str, Any] = {}
    for query, judged in split.qrels.items():
        terms, weights = vectors.row(number_of[query])
        heaviest = np.argsort(-weights, kind="stable")[:QUERY_TERMS]
        entry: dict[str, Any] = {"query": _named(collection, terms[heaviest], weights[heaviest])}
        for label, doc_id in _two_documents(result.run[query], judged).items():
            if doc_id in collection.index:
                ranking = result.run[query].ids
                entry[label] = {
                    "id": doc_id,
                    "rank": ranking.index(doc_id) + 1 if doc_id in ranking else None,
                    "terms": _shared(collection, terms, weights, collection.index.ordinal(doc_id)),
                }
        out[query] = entry
    return out


def _two_documents(ranking: Ranking, judged: Mapping[str, int]) -> dict[str, str]:
    relevant = next((i for i in ranking.ids if judged.get(i, 0) > 0), None)
    if relevant is None:
        relevant = next((i for i, grade in judged.items() if grade > 0), None)
    other = next((i for i in ranking.ids if judged.get(i, 0) <= 0), None)
    return {label: i for label, i in (("relevant", relevant), ("other", other)) if i is not None}


def _shared(
    collection: SparseCollection, terms: NDArray[np.int32], weights: NDArray[np.float32], ordinal: int
) -> list[list[Any]]:
    """The shared terms with their part of the score, largest first."""
    doc_terms, doc_weights = collection.index.vectors([ordinal]).row(0)
    shared, in_query, in_doc = np.intersect1d(terms, doc_terms, assume_unique=True, return_indices=True)
    products = weights[in_query] * doc_weights[in_doc]
    largest = np.argsort(-products, kind="stable")[:MATCHED_TERMS]
    return _named(collection, shared[largest], products[largest])


def _named(
    collection: SparseCollection, terms: NDArray[np.int32], values: NDArray[np.float32]
) -> list[list[Any]]:
    vocabulary: Sequence[str] = collection.encoder.vocabulary
    return [[vocabulary[t], round(float(v), 4)] for t, v in zip(terms.tolist(), values, strict=True)]
