"""OpenSearch, exactly: a `rank_features` field and the query type `neural_sparse` with the tokens given."""

from __future__ import annotations

from splade_engine.exchange.target import Export, Target
from splade_engine.exchange.targets.elasticsearch import COMMANDS, FIELD, lucene, write_bulk

README = f"""
`bulk.ndjson` is for the bulk API, `index.json` the mapping, `queries.jsonl` bodies of searches. Lucene keeps 9 significant
bits of a weight. Every query gives its tokens with their weights, so OpenSearch needs neither a model nor an idf.

{COMMANDS}
Two phases make it faster on large indexes and approximate: the search pipeline `neural_sparse_two_phase_processor`.
"""


def write(export: Export) -> None:
    """Write mapping, documents and queries."""
    write_bulk(export, {"type": "rank_features"}, export.named)
    export.query_lines(
        lambda terms, weights: {
            "size": export.k,
            "_source": False,
            "query": {"neural_sparse": {FIELD: {"query_tokens": export.named(terms, weights)}}},
        }
    )


OPENSEARCH = Target("opensearch", "OpenSearch 3", write, README, roundings=lucene, tokens=True)
