"""PostgreSQL with pgvector: a table with a `sparsevec` column.

A sparsevec counts its dimensions from 1. An HNSW index takes 1,000 entries at most (pgvector/pgvector#749), so
documents are cut to that; without the index up to 16,000 would do.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.exchange.target import Export, Limits, Target, shortest

MOST_TERMS = 1000  # of a vector in an HNSW index
README = """
`documents.tsv` is in the text format of COPY. Search without the index is exact; the index (`index.sql`) makes it
approximate, and takes vectors of 1,000 entries at most.

```sh
psql -f schema.sql
psql -c "\\copy documents FROM 'documents.tsv'"
psql -c "SELECT count(*) FROM documents"
psql -f index.sql                                  # for millions of documents
head -2 queries.sql | psql
```

A filter: `WHERE (metadata->>'year')::int >= 1990` before `ORDER BY`.
"""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def sparsevec(terms: NDArray[np.int32], weights: NDArray[np.float32], n_terms: int) -> str:
    """A vector as pgvector reads it: dimensions from 1."""
    pairs = zip(terms.tolist(), shortest(weights), strict=True)
    return "{" + ",".join(f"{term + 1}:{weight!r}" for term, weight in pairs) + f"}}/{n_terms}"


def write(export: Export) -> None:
    """Write the table, its schema and the queries."""
    export.text(
        "schema.sql",
        "CREATE EXTENSION IF NOT EXISTS vector;\n"
        "CREATE TABLE documents (\n  id text PRIMARY KEY,\n  title text,\n  text text,\n  metadata jsonb,\n"
        f"  v sparsevec({export.n_terms})\n);\n",
    )
    export.text("index.sql", "CREATE INDEX ON documents USING hnsw (v sparsevec_ip_ops);\n")
    with (export.folder / "documents.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                held = _without_zeros([fields.get(name) for name in ("title", "text", "metadata")], export)
                metadata = json.dumps(held.pop() or {}, ensure_ascii=False, default=str)
                columns = [id, *held, metadata, sparsevec(terms, weights, export.n_terms)]
                file.write("\t".join(map(_cell, columns)) + "\n")
    if export.query_ids:
        with (export.folder / "queries.sql").open("w", encoding="utf-8", newline="\n") as file:
            for id, terms, weights in export.asked():
                vector = sparsevec(terms, weights, export.n_terms)
                file.write(
                    f"-- {json.dumps(id)}\nSELECT id, -(v <#> '{vector}') AS score FROM documents "
                    f"ORDER BY v <#> '{vector}' LIMIT {export.k};\n"
                )


def _cell(value: str | None) -> str:
    return "\\N" if value is None else value.translate(_ESCAPES)


def _without_zeros(value: Any, export: Export) -> Any:
    """A value whose texts hold no zero byte; before it is JSON, where six characters may look like one."""
    if isinstance(value, str) and "\0" in value:
        export.lost["texts with a zero byte, which PostgreSQL cannot hold: removed"] += 1
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_zeros(name, export): _without_zeros(item, export) for name, item in value.items()}
    return [_without_zeros(item, export) for item in value] if isinstance(value, list) else value


PGVECTOR = Target(
    "pgvector",
    "PostgreSQL with pgvector 0.8",
    write,
    README,
    limits=Limits(document_terms=MOST_TERMS, query_terms=MOST_TERMS),
)
