"""pyvsag's SINDI: an inverted index in windows, exact or pruned."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvsag

from search_bench.engine import Setting, one_by_one
from splade_engine.vectors import SparseVectors

BUILDS = ((0.0, False, False), (0.2, True, False), (0.4, True, True))  # pruned share, re-rank, 8 bits


class Sindi:
    """One index per document pruning ratio; build time and bytes are those of the most expensive."""

    def __init__(self, docs: SparseVectors, queries: SparseVectors, k: int, work: Path) -> None:
        pyvsag.set_logger_off()
        self.rows = [(np.array([0, len(t)], np.uint32), t.astype(np.uint32), w) for t, w in queries]
        self.k, self.scored, self.bytes, self.build = k, float("nan"), 0, 0.0
        self.indexes: list[tuple[float, bool, Any]] = []
        parts = (docs.indptr.astype(np.uint32), docs.terms.astype(np.uint32), docs.weights)
        for ratio, reorder, quantised in BUILDS:
            settings = {
                "use_reorder": reorder,
                "doc_prune_ratio": ratio,
                "use_quantization": quantised,
                "term_id_limit": docs.n_terms,
                "window_size": 60000,
            }
            about = {"dtype": "sparse", "dim": 128, "metric_type": "ip", "index_param": settings}
            index = pyvsag.Index("sindi", json.dumps(about))
            start = time.perf_counter()
            index.build(*parts, np.arange(len(docs)))
            index.save(str(work / "sindi"))
            self.build = max(self.build, time.perf_counter() - start)
            self.bytes = max(self.bytes, (work / "sindi").stat().st_size)
            (work / "sindi").unlink()
            self.indexes.append((ratio, reorder, index))

    def _single(self, index: Any, text: str, i: int) -> Any:
        return index.knn_search(*self.rows[i], self.k, text)[0].ravel()

    def settings(self) -> Iterator[Setting]:
        """Query terms left out x candidates re-ranked, for each index that re-ranks."""
        for ratio, reorder, index in self.indexes:
            for cut in (0.9, 0.8, 0.7, 0.6, 0.5, 0.3) if reorder else (0.0,):
                for n in (5 * self.k, 10 * self.k, 20 * self.k) if reorder else (self.k,):
                    search = {"query_prune_ratio": cut, "term_prune_ratio": 0.0, "n_candidate": n}
                    single = partial(self._single, index, json.dumps({"sindi": search}))
                    words = f"doc_prune {ratio}, query_prune {cut}, {n} candidates"
                    yield Setting(words, one_by_one(single, len(self.rows), self.k), single)
