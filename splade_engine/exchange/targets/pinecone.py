"""Pinecone: a sparse index under the metric dotproduct."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.exchange.target import Export, Limits, Target, shortest

MOST_TERMS = 1000
MOST_METADATA = 40_960  # bytes of a record's metadata
README = """
`vectors.jsonl` holds a record a line, `index.json` the body that makes the index, `queries.jsonl` bodies of queries. Set
`PINECONE_API_KEY`, and `H` to the host that the second command prints.

```sh
K="Api-Key: $PINECONE_API_KEY"; V="X-Pinecone-API-Version: 2025-10"
curl -sS https://api.pinecone.io/indexes -H "$K" -H "$V" -H 'content-type: application/json' -d @index.json | jq -r .host
split -l 100 --filter='jq -cs "{vectors: .}" | curl -sS 'https://$H/vectors/upsert' -H "Api-Key: '$PINECONE_API_KEY'" -H content-type:application/json -d @-' vectors.jsonl
curl -sS https://$H/describe_index_stats -H "$K" -d '{}'
head -1 queries.jsonl | jq -c .body | curl -sS https://$H/query -H "$K" -H 'content-type: application/json' -d @- | jq -r '.matches[] | [.id, .score] | @tsv'
```
"""


def _sparse(terms: NDArray[np.int32], weights: NDArray[np.float32]) -> dict[str, list[Any]]:
    return {"indices": terms.tolist(), "values": shortest(weights)}


def _flat(fields: dict[str, Any], export: Export) -> dict[str, Any]:
    """Title, text and metadata side by side: text, numbers, true and false, lists of text; at most 40 KB."""
    flat: dict[str, Any] = {name: fields[name] for name in ("title", "text") if name in fields}
    for name, value in fields.get("metadata", {}).items():
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if name in flat:
            export.lost["metadata values that are called title or text"] += 1
        elif isinstance(value, str | int | float | bool) or texts:
            flat[name] = value
        else:
            export.lost["metadata values that Pinecone cannot hold"] += 1
    beyond = len(json.dumps(flat, ensure_ascii=False).encode()) - MOST_METADATA
    if beyond > 0:
        export.lost["texts cut to 40 KB of metadata"] += 1
        kept = max(0, len(flat.get("text", "").encode()) - 2 * beyond)
        flat["text"] = flat.get("text", "").encode()[:kept].decode("utf-8", "ignore")
    return flat


def write(export: Export) -> None:
    """Write records, the index' settings and the queries."""
    spec = {"serverless": {"cloud": "aws", "region": "us-east-1"}}
    settings = {"name": export.name, "vector_type": "sparse", "metric": "dotproduct", "spec": spec}
    export.json("index.json", settings)
    with export.lines("vectors.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                record = {"id": id, "sparse_values": _sparse(terms, weights)}
                line({**record, "metadata": _flat(fields, export)})
    export.query_lines(lambda terms, weights: {"sparse_vector": _sparse(terms, weights), "top_k": export.k})


PINECONE = Target(
    "pinecone",
    "Pinecone",
    write,
    README,
    limits=Limits(document_terms=MOST_TERMS, query_terms=MOST_TERMS, empty=False),
)
