"""zvec: an embedded collection with a sparse vector under the metric IP."""

from __future__ import annotations

from splade_engine.exchange.target import Export, Limits, Target

README = """
`documents.jsonl` holds a row a line (`v` maps the number of a term to its weight), `queries.jsonl` a query vector a line. A
flat index is exact; `zvec.HnswIndexParam(metric_type=zvec.MetricType.IP)` in its place is approximate.

```sh
pip install zvec
python -c "
import json, zvec
schema = zvec.CollectionSchema(
    'documents',
    fields=[zvec.FieldSchema('doc_id', zvec.DataType.STRING), zvec.FieldSchema('text', zvec.DataType.STRING)],
    vectors=[zvec.VectorSchema('v', zvec.DataType.SPARSE_VECTOR_FP32, index_param=zvec.FlatIndexParam(metric_type=zvec.MetricType.IP))],
)
collection = zvec.create_and_open('<NAME>', schema)
for line in open('documents.jsonl'):
    row = json.loads(line)
    vector = {int(term): weight for term, weight in row['v'].items()}
    collection.insert(zvec.Doc(id=row['key'], vectors={'v': vector}, fields={'doc_id': row['id'], 'text': row.get('text', '')}))
collection.flush()
"
python -c "import zvec; print(zvec.open('<NAME>').stats)"
python -c "
import json, zvec
collection = zvec.open('<NAME>')
query = json.loads(next(open('queries.jsonl')))
vector = {int(term): weight for term, weight in query['body'].items()}
for hit in collection.query(zvec.Query('v', vector=vector), topk=<TOP_K>, output_fields=['doc_id']):
    print(hit.field('doc_id'), hit.score)
"
python -c "import zvec; zvec.open('<NAME>').destroy()"        # all of it
```

Keys of zvec are letters, digits and a few signs, so documents are numbered: `key` is a number, `id` the document's id.
"""


def write(export: Export) -> None:
    """Write rows and queries."""
    number = 0
    with export.lines("documents.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                line({"key": str(number), "id": id, "v": export.numbered(terms, weights), **fields})
                number += 1
    export.query_lines(export.numbered)


ZVEC = Target("zvec", "zvec 0.8", write, README, limits=Limits(empty=False))
