"""CIFF: posting lists of whole numbers, which PISA, Terrier, JASS and others index."""

from __future__ import annotations

import numpy as np

from splade_engine.exchange.ciff_file import write_ciff
from splade_engine.exchange.rounding import Rounding, whole
from splade_engine.exchange.target import Export, Largest, Target
from splade_engine.vectors import SparseVectors

README = """
`index.ciff` holds the posting lists (the term frequency is the weight), `queries.jsonl` the weights of the queries' terms.

```sh
pip install ciff-toolkit
ciff_dump index.ciff | head
ciff2pisa --ciff-file index.ciff --output <NAME>               # PISA's importer
compress_inverted_index --encoding block_simdbp --collection <NAME> --output <NAME>.simdbp
head -1 queries.jsonl
```
"""


def roundings(largest: Largest) -> tuple[Rounding, Rounding]:
    """Whole numbers on both sides."""
    return whole(largest.scale), whole(largest.scale)


def write(export: Export) -> None:
    """Write the lists and the queries; a list holds all documents, so the vectors are held in memory."""
    ids: list[str] = []
    parts: list[SparseVectors] = []
    for batch in export.batches():
        ids += batch.ids
        parts.append(batch.vectors)
    vectors = SparseVectors.concat(parts)
    impacts = export.documents.kept(vectors.weights).astype(np.int64)
    about = f"splade-engine, weights times {export.documents.scale:g}"
    write_ciff(export.folder / "index.ciff", vectors, impacts, ids, list(export.names), about)
    export.query_lines(lambda terms, weights: export.whole(terms, weights, export.queries))


CIFF = Target("ciff", "CIFF", write, README, roundings=roundings, tokens=True)
