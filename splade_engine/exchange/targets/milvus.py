"""Milvus: a collection with a text key and a sparse vector under the metric IP."""

from __future__ import annotations

from splade_engine.exchange.target import Export, Limits, Target

MOST_BYTES = 65_535  # of a VARCHAR
README = """
`documents.jsonl` holds a row a line (`v` maps the number of a term to its weight), `queries.jsonl` a query vector a line. A
weight is kept in 32 bits, and `drop_ratio_search` is 0, so the search is exact.

```sh
pip install pymilvus        # and milvus-lite, for a file in the place of a server
python -c "
import json
from pymilvus import DataType, MilvusClient
client = MilvusClient('http://localhost:19530')
schema = client.create_schema(auto_id=False)
schema.add_field('id', DataType.VARCHAR, is_primary=True, max_length=65535)
schema.add_field('v', DataType.SPARSE_FLOAT_VECTOR)
schema.add_field('title', DataType.VARCHAR, max_length=65535)
schema.add_field('text', DataType.VARCHAR, max_length=65535)
schema.add_field('metadata', DataType.JSON)
index = client.prepare_index_params()
index.add_index('v', index_type='SPARSE_INVERTED_INDEX', metric_type='IP', params={'inverted_index_algo': 'DAAT_MAXSCORE'})
client.create_collection('<NAME>', schema=schema, index_params=index)
rows = []
for line in open('documents.jsonl'):
    row = json.loads(line)
    rows.append({**row, 'v': {int(term): weight for term, weight in row['v'].items()}})
    if len(rows) == 500: client.insert('<NAME>', rows); rows = []
if rows: client.insert('<NAME>', rows)
client.flush('<NAME>')
"
python -c "
from pymilvus import MilvusClient
client = MilvusClient('http://localhost:19530'); client.load_collection('<NAME>')
print(client.query('<NAME>', filter='', output_fields=['count(*)'])[0])
"
python -c "
import json
from pymilvus import MilvusClient
client = MilvusClient('http://localhost:19530'); client.load_collection('<NAME>')
query = json.loads(next(open('queries.jsonl')))
vector = {int(term): weight for term, weight in query['body'].items()}
for hit in client.search('<NAME>', data=[vector], anns_field='v', limit=<TOP_K>, search_params={'metric_type': 'IP', 'params': {'drop_ratio_search': 0}})[0]:
    print(hit['id'], hit['distance'])
"
python -c "from pymilvus import MilvusClient; MilvusClient('http://localhost:19530').drop_collection('<NAME>')"   # all of it
```

A filter: `filter='metadata["year"] >= 1990'`.
"""


def write(export: Export) -> None:
    """Write rows and queries."""
    with export.lines("documents.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                stored = {"title": "", "text": "", "metadata": {}} | fields
                title = stored["title"].encode()[:MOST_BYTES].decode("utf-8", "ignore")
                line({"id": id, "v": export.numbered(terms, weights), **stored, "title": title})
    export.query_lines(export.numbered)


MILVUS = Target("milvus", "Milvus 3", write, README, limits=Limits(text_bytes=MOST_BYTES, empty=False))
