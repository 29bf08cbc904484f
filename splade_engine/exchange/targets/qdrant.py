"""Qdrant: a collection with one sparse vector, `text`, searched exactly.

Points are numbered by UUIDs or unsigned integers, so the id of a document becomes a UUID of version 5 over the
URL namespace, and stands in the payload as `doc_id`. There is no `modifier`: with `idf` Qdrant would weigh the
queries once more, and by the statistics of each shard (qdrant/qdrant#4126).
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from splade_engine.exchange.target import Export, Target, shortest

FIELD = "text"
README = """
`points.jsonl` holds a point a line, `collection.json` the schema, `queries.jsonl` bodies of queries. A document's id is in
the payload as `doc_id`; the number of the point is the UUID of version 5 of that id over the URL namespace.

```sh
Q=http://localhost:6333/collections/<NAME>
curl -X PUT $Q -H 'content-type: application/json' -d @collection.json
split -l 500 --filter='jq -cs "{points: .}" | curl -sS -X PUT '$Q'/points?wait=true -H content-type:application/json -d @-' points.jsonl
curl -sS $Q | jq .result.points_count
head -1 queries.jsonl | jq -c .body | curl -sS $Q/points/query -H 'content-type: application/json' -d @- | jq -r '.result.points[] | [.payload.doc_id, .score] | @tsv'
```
"""


def point_id(id: str) -> str:
    """The UUID that stands for a document."""
    return str(uuid5(NAMESPACE_URL, id))


def sparse(terms: NDArray[np.int32], weights: NDArray[np.float32]) -> dict[str, list[Any]]:
    """A vector as Qdrant writes it."""
    return {"indices": terms.tolist(), "values": shortest(weights)}


def write(export: Export) -> None:
    """Write points, schema and queries."""
    export.json("collection.json", {"sparse_vectors": {FIELD: {}}})
    with export.lines("points.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                payload = {"doc_id": id, **fields}
                line({"id": point_id(id), "vector": {FIELD: sparse(terms, weights)}, "payload": payload})
    export.query_lines(
        lambda terms, weights: {
            "query": sparse(terms, weights),
            "using": FIELD,
            "limit": export.k,
            "with_payload": ["doc_id"],
        }
    )


QDRANT = Target("qdrant", "Qdrant 1.20", write, README)
