"""kannolo: a graph of neighbours (HNSW) over sparse vectors.

Weights are stored as float16 in blocks ("plain", its documented class) or as 16-bit fixed-point numbers, a
tenth faster at the same recall; 8-bit ones are as fast and lose up to .4 points. The grid: the documented
arguments of a build, and those of the project's experiments with SPLADE vectors, whose beam is wider; at
query time a beam alone, or a narrow one that goes on while a candidate is within a share of the k-th score
(adaptive early exit).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kannolo
import numpy as np

from search_bench.engine import Ordinals, Setting
from splade_engine.vectors import SparseVectors

Beam = tuple[int, float | None]  # ef_search, early_exit_threshold

BUILDS = (("Plain", 32, 200), ("FixedU16", 32, 1000))  # values, m, ef_construction
BEAMS = (10, 20, 40, 80, 120, 200, 400, 600, 800, 1600)  # for k = 10; wider for more hits
EARLY_EXIT = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


class Kannolo:
    """A graph takes minutes: each is kept in the work folder, with the seconds that it took on all cores.

    Build time and bytes are those of the most expensive graph.
    """

    def __init__(self, docs: SparseVectors, queries: SparseVectors, k: int, work: Path) -> None:
        self.queries, self.k, self.scored = queries, k, float("nan")
        self.asked = (queries.terms.astype(np.int32), queries.weights, queries.indptr.astype(np.int64))
        self.build, self.bytes = 0.0, 0
        self.indexes: list[tuple[str, Any]] = []
        for values, m, breadth in BUILDS:
            kind = getattr(kannolo, f"Sparse{values}HNSW")
            saved = work / f"kannolo-{values}-{m}-{breadth}-{len(docs)}"
            note = saved.with_suffix(".json")
            if not note.exists():
                parts = (docs.terms.astype(np.int32), docs.weights, docs.indptr.astype(np.int64))
                start, cpu = time.perf_counter(), time.process_time()
                kind.build_from_arrays(*parts, m=m, ef_construction=breadth).save(str(saved))
                took = {"build": time.perf_counter() - start, "cpu": time.process_time() - cpu}
                note.write_text(json.dumps(took))
            self.build = max(self.build, json.loads(note.read_text())["build"])
            self.bytes = max(self.bytes, saved.stat().st_size)
            self.indexes.append((f"{values}, m {m}, ef_construction {breadth}", kind.load(str(saved))))

    def _batch(self, index: Any, beam: Beam, threads: int) -> Ordinals:
        found: Ordinals = index.batch_search(*self.asked, self.k, *beam, threads)[1].astype(np.int64)
        return found.reshape(len(self.queries), self.k)

    def _single(self, index: Any, beam: Beam, i: int) -> None:
        terms, weights = self.queries.row(i)
        index.search(terms, weights, self.k, *beam)

    def settings(self) -> Iterator[Setting]:
        """Beams, then early exits, over each graph."""
        wide = max(1, self.k // 10)
        beams: list[Beam] = [(n * wide, None) for n in BEAMS]
        beams += [(n * wide, share) for n in (10, 15) for share in EARLY_EXIT]
        for words, index in self.indexes:
            for beam in beams:
                early = "" if beam[1] is None else f", early exit {beam[1]}"
                yield Setting(
                    f"{words}, ef_search {beam[0]}{early}",
                    partial(self._batch, index, beam, 1),
                    partial(self._single, index, beam),
                    partial(self._batch, index, beam, 0),
                )
