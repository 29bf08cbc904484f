"""Vespa: a weighted set of whole numbers, searched with WAND, ranked by the same dot product."""

from __future__ import annotations

import json
from typing import Any

from splade_engine.exchange.rounding import Rounding, whole
from splade_engine.exchange.target import Export, Largest, Target

README = """
`application/` is the application package, `feed.jsonl` the documents, `queries.jsonl` bodies of queries. WAND takes whole
numbers; with `targetHits` of the hits that are wanted it is exact over them. There is no bm25 and no `significance` in the
rank profile: the weights of a query are in the query.

```sh
vespa deploy application
vespa feed feed.jsonl
vespa query 'yql=select * from doc where true limit 0' | jq .root.fields.totalCount
head -1 queries.jsonl | jq -c .body | curl -sS http://localhost:8080/search/ -H 'content-type: application/json' -d @- | jq -r '.root.children[] | [.fields.doc_id, .relevance] | @tsv'
vespa document remove id:splade:doc::SOME-ID
```
"""
SCHEMA = """schema doc {
    document doc {
        field doc_id type string {
            indexing: summary | attribute
        }
        field title type string {
            indexing: summary | index
        }
        field text type string {
            indexing: summary | index
        }
        field metadata type string {
            indexing: summary
        }
        field terms type weightedset<string> {
            indexing: attribute
            attribute: fast-search
            rank: filter
        }
    }
    document-summary hit {
        summary doc_id {}
    }
    rank-profile splade {
        first-phase {
            expression: rawScore(terms)
        }
    }
}
"""
SERVICES = """<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
    <container id="default" version="1.0">
        <search />
        <document-api />
    </container>
    <content id="content" version="1.0">
        <min-redundancy>1</min-redundancy>
        <documents>
            <document type="doc" mode="index" />
        </documents>
        <nodes>
            <node distribution-key="0" hostalias="node1" />
        </nodes>
    </content>
</services>
"""


def roundings(largest: Largest) -> tuple[Rounding, Rounding]:
    """Whole numbers on both sides."""
    return whole(largest.scale), whole(largest.scale)


def write(export: Export) -> None:
    """Write the application, the feed and the queries."""
    export.text("application/schemas/doc.sd", SCHEMA)
    export.text("application/services.xml", SERVICES)
    with export.lines("feed.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                stored = {**fields}
                if "metadata" in stored:
                    stored["metadata"] = json.dumps(stored["metadata"], ensure_ascii=False, default=str)
                held: dict[str, Any] = {"doc_id": id, "terms": export.whole(terms, weights, export.documents)}
                line({"put": f"id:splade:doc::{id}", "fields": {**held, **stored}})
    export.query_lines(
        lambda terms, weights: {
            "yql": f"select doc_id from doc where {{targetHits:{export.k}}}wand(terms, @q)",
            "q": export.whole(terms, weights, export.queries),
            "ranking": "splade",
            "hits": export.k,
            "presentation.summary": "hit",
        }
    )


VESPA = Target("vespa", "Vespa 8", write, README, roundings=roundings, tokens=True)
