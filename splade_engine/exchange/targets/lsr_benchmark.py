"""lsr-benchmark (ReNeuIR): embeddings of documents and queries as npz, with their ids.

Ids stand one a line there, so those with a line break are written as JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from splade_engine.exchange.ids import line_of
from splade_engine.exchange.target import Export, Target
from splade_engine.vectors import SparseVectors

README = """
`doc/` and `query/` are an embedding folder of lsr-benchmark: `data`, `indices` and `indptr` of a CSR matrix in an npz file,
and the ids a line each. Wherever a script of lsr-benchmark takes `--embedding`, give this folder.

```sh
pip install lsr-benchmark
python -c "import numpy as np; m = np.load('doc/doc-embeddings.npz'); print({n: m[n].shape for n in m.files})"
python retrieval.py --dataset DATASET --embedding $PWD --output out        # of an engine in lsr-benchmark/step-03
zcat out/run.txt.gz | head -3
lsr-benchmark evaluate out
```
"""


def _write(export: Export, side: str, parts: Sequence[SparseVectors], ids: Iterable[str]) -> None:
    vectors = SparseVectors.concat(list(parts))
    folder = export.folder / side
    folder.mkdir()
    np.savez(
        folder / f"{side}-embeddings.npz",
        data=vectors.weights,
        indices=vectors.terms.astype(np.int64),
        indptr=vectors.indptr,
        shape=np.array([len(vectors), vectors.n_terms]),
    )
    export.text(f"{side}/{side}-ids.txt", "".join(f"{line_of(id)}\n" for id in ids))


def write(export: Export) -> None:
    """Write both sides; `query` only where there are queries."""
    batches = list(export.batches())
    ids = [id for batch in batches for id in batch.ids]
    _write(export, "doc", [batch.vectors for batch in batches], ids)
    if export.query_ids:
        _write(export, "query", [export.query_vectors], export.query_ids)


LSR_BENCHMARK = Target("lsr-benchmark", "lsr-benchmark 0.1", write, README)
