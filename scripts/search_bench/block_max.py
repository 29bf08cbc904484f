"""bmp: block-max pruning over 8-bit impacts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import bmp
import numpy as np

from search_bench.documents import Documents
from search_bench.engine import Setting, kept_build, one_by_one
from splade_engine.vectors import SparseVectors

SHARES = ((1.0, 1.0), (0.85, 1.0), (0.75, 1.0), (0.65, 1.0), (0.85, 0.6), (0.75, 0.6), (0.65, 0.5))


class Bmp:
    """Terms are text to it, weights whole numbers: ours times a unit, at least 1. A build is a block size."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        name = [str(t) for t in range(queries.n_terms)]

        def make(vectors: SparseVectors) -> None:
            unit = 255.0 / float(vectors.weights.max())
            indexer = bmp.Indexer(str(folder / "index"), int(build), True)
            for i, (terms, weights) in enumerate(vectors):
                codes = np.maximum(1, np.rint(weights * unit)).astype(int).tolist()
                indexer.add_document(str(i), {name[t]: c for t, c in zip(terms.tolist(), codes, strict=True)})
            indexer.finish()

        self.built = kept_build(folder, docs, make)
        self.k, self.scored = k, float("nan")
        self.index = bmp.Searcher(str(folder / "index"))
        self.rows = [
            {
                name[t]: int(max(1, round(w * 100)))
                for t, w in zip(terms.tolist(), weights.tolist(), strict=True)
            }
            for terms, weights in queries
        ]

    def _single(self, alpha: float, beta: float, i: int) -> list[int]:
        return [int(d) for d in self.index.search(self.rows[i], self.k, alpha, beta)[0]]

    def settings(self) -> Iterator[Setting]:
        """Share of a block's bound that must beat the k-th score x share of the query's terms."""
        for alpha, beta in SHARES:
            single = partial(self._single, alpha, beta)
            yield Setting(f"alpha {alpha}, beta {beta}", one_by_one(single, len(self.rows), self.k), single)
