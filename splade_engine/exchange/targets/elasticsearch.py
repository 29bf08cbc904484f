"""Elasticsearch: a `sparse_vector` field, whose pruning, on by default since 9.1, is switched off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.exchange.rounding import EXACT, LUCENE, Rounding
from splade_engine.exchange.target import Export, Largest, Target

FIELD = "tokens"
# as a shell takes them; Elasticsearch and OpenSearch have the same interface here
COMMANDS = """```sh
URL=http://localhost:9200
curl -X PUT $URL/<NAME> -H 'content-type: application/json' -d @index.json
split -l 2000 --filter='curl -sS '$URL'/<NAME>/_bulk -H content-type:application/x-ndjson --data-binary @- | jq .errors' bulk.ndjson
curl -sS -X POST $URL/<NAME>/_refresh && curl -sS $URL/<NAME>/_count
head -1 queries.jsonl | jq -c .body | curl -sS $URL/<NAME>/_search -H 'content-type: application/json' -d @- | jq -r '.hits.hits[] | [._id, ._score] | @tsv'
```
"""
README = f"""
`bulk.ndjson` is for the bulk API, `index.json` the mapping, `queries.jsonl` bodies of searches. Lucene keeps 9 significant
bits of a weight. Pruning of tokens is switched off in the mapping and in every query: the terms of a query are chosen and
weighed already.

{COMMANDS}"""
MOST_ID_BYTES = 512


def lucene(largest: Largest) -> tuple[Rounding, Rounding]:
    """Documents lose bits, queries do not."""
    return LUCENE, EXACT


def write_bulk(
    export: Export,
    mapping: dict[str, Any],
    vector: Callable[[NDArray[np.int32], NDArray[np.float32]], dict[str, Any]],
    settings: dict[str, Any] | None = None,
) -> None:
    """Write the mapping and the bulk file, which Elasticsearch and OpenSearch read alike.

    Args:
        export: what is written.
        mapping: of the vector's field.
        vector: writes the vector of a document.
        settings: of the index.
    """
    properties = {
        FIELD: mapping,
        "doc_id": {"type": "keyword"},
        "title": {"type": "text"},
        "text": {"type": "text"},
        "metadata": {"type": "object"},
    }
    export.json("index.json", {"settings": settings or {}, "mappings": {"properties": properties}})
    with export.lines("bulk.ndjson") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                short_id = len(id.encode()) <= MOST_ID_BYTES
                export.lost["ids over 512 bytes, which stand in doc_id only"] += not short_id
                line({"index": {"_id": id} if short_id else {}})
                line({"doc_id": id, FIELD: vector(terms, weights), **fields})


def write(export: Export) -> None:
    """Write mapping, documents and queries."""
    mapping = {"type": "sparse_vector", "index_options": {"prune": False}}
    write_bulk(export, mapping, export.named)
    export.query_lines(
        lambda terms, weights: {
            "size": export.k,
            "_source": False,
            "query": {
                "sparse_vector": {
                    "field": FIELD,
                    "query_vector": export.named(terms, weights),
                    "prune": False,
                }
            },
        }
    )


ELASTICSEARCH = Target("elasticsearch", "Elasticsearch 9", write, README, roundings=lucene, tokens=True)
