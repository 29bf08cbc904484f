"""OpenSearch with Seismic: a `sparse_vector` field, whose tokens are whole numbers.

OpenSearch takes them modulo 32,768 (opensearch-project/neural-search PR#1926), so that two terms of a larger
vocabulary would become one. Terms that occur are therefore numbered through from 0, and where there are more than
32,768 of them, those in the most documents are kept. Weights are bytes below a ceiling, which is the largest weight
here; the defaults (3 for documents, 16 for queries) would cut the largest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from splade_engine.exchange.rounding import Rounding, bytes_below
from splade_engine.exchange.target import Export, Largest, Limits, Target
from splade_engine.exchange.targets.elasticsearch import COMMANDS, FIELD, write_bulk

MOST_TERMS = 32_768
README = f"""
`bulk.ndjson` is for the bulk API, `index.json` settings and mapping, `queries.jsonl` bodies of searches, `terms.json` the
number of each term. Segments below 1,000,000 documents are searched exactly over the bytes, larger ones by Seismic: raise
`heap_factor` and `n_postings` for recall.

{COMMANDS}"""


def ceiling(largest: float) -> float:
    """The largest weight, rounded up to a hundredth."""
    return max(math.ceil(largest * 100) / 100, 0.01)


def roundings(largest: Largest) -> tuple[Rounding, Rounding]:
    """Bytes below the largest weight."""
    return bytes_below(ceiling(largest.document)), bytes_below(ceiling(largest.query or 16.0))


def numbers(export: Export) -> NDArray[np.int64]:
    """int64[n_terms]: the number of each term that occurs and is kept, -1 for others."""
    there = export.reader.document_frequencies() > 0
    if export.allowed is not None:
        there &= export.allowed
    found = np.full(len(there), -1, np.int64)
    if export.n_terms <= MOST_TERMS:
        return np.where(there, np.arange(len(there)), found)
    found[there] = np.arange(int(there.sum()))
    return found


def write(export: Export) -> None:
    """Write settings, documents and queries."""
    number = numbers(export)

    def vector(terms: NDArray[np.int32], weights: NDArray[np.float32]) -> dict[str, float]:
        known = number[terms] >= 0
        return export.numbered(number[terms[known]].astype(np.int32), weights[known])

    steps = [float(r.name.rsplit(" ", 1)[1]) for r in (export.documents, export.queries)]
    method = {
        "name": "seismic",
        "parameters": {
            "n_postings": 4000,
            "cluster_ratio": 0.1,
            "summary_prune_ratio": 0.4,
            "approximate_threshold": 1_000_000,
            "quantization_ceiling_ingest": steps[0],
            "quantization_ceiling_search": steps[1],
        },
    }
    mapping = {"type": "sparse_vector", "method": method}
    write_bulk(export, mapping, vector, {"index": {"sparse": True}})
    kept = np.flatnonzero(number >= 0)
    export.json("terms.json", {export.names[term]: int(number[term]) for term in kept.tolist()})
    search = {"k": export.k, "top_n": 1000, "heap_factor": 1.0}
    export.query_lines(
        lambda terms, weights: {
            "size": export.k,
            "_source": False,
            "query": {
                "neural_sparse": {
                    FIELD: {"query_tokens": vector(terms, weights), "method_parameters": search}
                }
            },
        }
    )


OPENSEARCH_ANN = Target(
    "opensearch-ann",
    "OpenSearch 3.3 and later, approximate",
    write,
    README,
    limits=Limits(vocabulary=MOST_TERMS),
    roundings=roundings,
    tokens=True,
)
