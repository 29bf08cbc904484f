"""Build and search small indexes of both kinds of lists, which compiles the kernels into the cache."""

import tempfile
from pathlib import Path

import numpy as np

from splade_engine.index import BuildConfig, SearchConfig, SparseIndex
from splade_engine.vectors import SparseVectors

rng = np.random.default_rng(0)
rows = [dict.fromkeys(rng.choice(300, 20, replace=False).tolist(), 1.0) for _ in range(2000)]
vectors = SparseVectors.from_dicts(rows, 300)
for lists in ("impact", "blocks"):
    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(lists=lists, weights="float32")
        index = SparseIndex.build(Path(folder) / "index", vectors, config=config)
        for search in (SearchConfig(exact=True), SearchConfig(max_postings=100, n_candidates=20)):
            index.search(vectors[:4], 10, config=search)
