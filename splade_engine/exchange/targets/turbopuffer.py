"""turbopuffer: a sparse attribute in half precision, ranked by SparseKNN."""

from __future__ import annotations

from typing import Any

from splade_engine.exchange.rounding import EXACT, HALF, Rounding
from splade_engine.exchange.target import Export, Largest, Limits, Target

MOST_TERMS = 1024
FIELD = "v"
SCHEMA = {FIELD: {"type": "{}f16", "sparse_knn": {"distance_metric": "dot_product"}}}
README = """
`rows.jsonl` holds a row a line, `schema.json` the schema, `queries.jsonl` bodies of queries. Set `TURBOPUFFER_API_KEY`.

```sh
N=https://api.turbopuffer.com/v2/namespaces/<NAME>; A="authorization: Bearer $TURBOPUFFER_API_KEY"
split -l 500 --filter='jq -cs --slurpfile schema schema.json "{upsert_rows: ., schema: \\$schema[0]}" | curl -sS '$N' -H "'"$A"'" -H content-type:application/json -d @-' rows.jsonl
curl -sS ${N/v2/v1}/metadata -H "$A"
head -1 queries.jsonl | jq -c .body | curl -sS $N/query -H "$A" -H 'content-type: application/json' -d @- | jq -r '.rows[] | [.id, ."$dist"] | @tsv'
curl -sS -X DELETE $N -H "$A"                        # all of it
```
"""


def roundings(largest: Largest) -> tuple[Rounding, Rounding]:
    """Documents in half precision."""
    return HALF, EXACT


def write(export: Export) -> None:
    """Write rows, schema and queries."""
    export.json("schema.json", SCHEMA)
    with export.lines("rows.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                flat: dict[str, Any] = {n: v for n, v in fields.items() if n != "metadata"}
                for name, value in fields.get("metadata", {}).items():
                    if isinstance(value, dict):
                        export.lost["metadata values that turbopuffer cannot hold"] += 1
                    elif name in ("id", FIELD) or name in fields:
                        export.lost["metadata values that are called as ours are"] += 1
                    else:
                        flat[name] = value
                line({"id": id, FIELD: export.named(terms, weights), **flat})
    export.query_lines(
        lambda terms, weights: {
            "rank_by": [FIELD, "SparseKNN", export.named(terms, weights)],
            "limit": export.k,
        }
    )


TURBOPUFFER = Target(
    "turbopuffer",
    "turbopuffer",
    write,
    README,
    limits=Limits(document_terms=MOST_TERMS, query_terms=MOST_TERMS, empty=False),
    roundings=roundings,
    tokens=True,
)
