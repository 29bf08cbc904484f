"""pyvsag's SINDI: an inverted index in windows, exact or pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvsag

from search_bench.documents import Documents
from search_bench.engine import Setting, kept_build, one_by_one
from splade_engine.vectors import SparseVectors

# share of a document's weight that is pruned, re-ranking by whole documents, weights in 8 bits
BUILDS = {
    "whole": (0.0, False, False),
    "pruned-0.2": (0.2, True, False),
    "pruned-0.4-8bit": (0.4, True, True),
}


class Sindi:
    """One index for each document pruning ratio."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        pyvsag.set_logger_off()
        self.rows = [(np.array([0, len(t)], np.uint32), t.astype(np.uint32), w) for t, w in queries]
        self.k, self.scored = k, float("nan")
        ratio, self.reorder, quantised = BUILDS[build]
        settings = {
            "use_reorder": self.reorder,
            "doc_prune_ratio": ratio,
            "use_quantization": quantised,
            "term_id_limit": queries.n_terms,
            "window_size": 60000,
        }
        about = {"dtype": "sparse", "dim": 128, "metric_type": "ip", "index_param": settings}
        text = json.dumps(about)

        def make(vectors: SparseVectors) -> None:
            parts = (vectors.indptr.astype(np.uint32), vectors.terms.view(np.uint32), vectors.weights)
            index = pyvsag.Index("sindi", text)
            index.build(*parts, np.arange(len(vectors)))
            index.save(str(folder / "index"))

        # where memory is short, from the file: its own index takes most of the memory
        self.built = kept_build(folder, docs if docs.memory is None else docs.mapped, make)
        self.index = pyvsag.Index("sindi", text)
        self.index.load(str(folder / "index"))

    def _single(self, text: str, i: int) -> Any:
        return self.index.knn_search(*self.rows[i], self.k, text)[0].ravel()

    def settings(self) -> Iterator[Setting]:
        """Query terms left out x candidates re-ranked, for an index that re-ranks."""
        for cut in (0.9, 0.8, 0.7, 0.6, 0.5, 0.3) if self.reorder else (0.0,):
            for n in (5 * self.k, 10 * self.k, 20 * self.k) if self.reorder else (self.k,):
                search = {"query_prune_ratio": cut, "term_prune_ratio": 0.0, "n_candidate": n}
                single = partial(self._single, json.dumps({"sindi": search}))
                words = f"query_prune {cut}, {n} candidates"
                yield Setting(words, one_by_one(single, len(self.rows), self.k), single)
