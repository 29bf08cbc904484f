"""Seismic: JSON lines of tokens and weights."""

from __future__ import annotations

from splade_engine.exchange.target import Export, Target

README = """
`documents.jsonl` and `queries.jsonl` are Seismic's input: an id and {token: weight} a line. (`splade-engine export INDEX
FILE.jsonl` writes the documents alone.)

```sh
pip install pyseismic-lsr
python -c "
from seismic import SeismicIndex
SeismicIndex.build('documents.jsonl').save('<NAME>')
"
python -c "
from seismic import SeismicIndex
index = SeismicIndex.load('<NAME>.index.seismic')
print(index.len, 'documents', index.nnz, 'weights')
"
python -c "
import json, numpy as np
from seismic import SeismicIndex, get_seismic_string as text
index = SeismicIndex.load('<NAME>.index.seismic')
query = json.loads(next(open('queries.jsonl')))
tokens, weights = zip(*query['vector'].items())
print(index.search(query['id'], np.array(tokens, text()), np.array(weights, 'f4'), k=<TOP_K>, query_cut=20, heap_factor=0.7))
"
rm <NAME>.index.seismic        # all of it
```
"""


def write(export: Export) -> None:
    """Write documents and queries."""
    with export.lines("documents.jsonl") as line:
        for batch in export.batches():
            for id, terms, weights, fields in batch:
                text = {name: fields[name] for name in ("title", "text") if name in fields}
                line({"id": id, "vector": export.named(terms, weights), "content": text.get("text", "")})
    if export.query_ids:
        with export.lines("queries.jsonl") as line:
            for id, terms, weights in export.asked():
                line({"id": id, "vector": export.named(terms, weights)})


SEISMIC = Target("seismic", "Seismic 0.5", write, README, tokens=True)
