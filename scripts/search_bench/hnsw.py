"""kannolo: a graph of neighbours (HNSW) over sparse vectors.

Weights are stored as float16 in blocks ("plain", its documented class) or as 16-bit fixed-point numbers, a
tenth faster at the same recall; 8-bit ones are as fast and lose up to .4 points. The grid: the documented
arguments of a build, and those of the project's experiments with SPLADE vectors, whose beam is wider; at
query time a beam alone, or a narrow one that goes on while a candidate is within a share of the k-th score
(adaptive early exit).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import kannolo
import numpy as np

from search_bench.documents import Documents
from search_bench.engine import Ordinals, Setting, kept_build
from splade_engine.vectors import SparseVectors

Beam = tuple[int, float | None]  # ef_search, early_exit_threshold

BEAMS = (10, 20, 40, 80, 120, 200, 400, 600, 800, 1600)  # for k = 10; wider for more hits
EARLY_EXIT = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


class Kannolo:
    """A graph takes minutes: each is kept in the work folder. A build is values - m - ef_construction."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.queries, self.k, self.scored = queries, k, float("nan")
        self.asked = (queries.terms.astype(np.int32), queries.weights, queries.indptr.astype(np.int64))
        values, m, breadth = build.split("-")
        kind = getattr(kannolo, f"Sparse{values}HNSW")

        def make(vectors: SparseVectors) -> None:
            parts = (vectors.terms.astype(np.int32), vectors.weights, vectors.indptr.astype(np.int64))
            kind.build_from_arrays(*parts, m=int(m), ef_construction=int(breadth)).save(str(folder / "index"))

        self.built = kept_build(folder, docs, make)
        self.index = kind.load(str(folder / "index"))

    def _batch(self, beam: Beam, threads: int) -> Ordinals:
        found: Ordinals = self.index.batch_search(*self.asked, self.k, *beam, threads)[1].astype(np.int64)
        return found.reshape(len(self.queries), self.k)

    def _single(self, beam: Beam, i: int) -> None:
        terms, weights = self.queries.row(i)
        self.index.search(terms, weights, self.k, *beam)

    def settings(self) -> Iterator[Setting]:
        """Beams, then early exits."""
        wide = max(1, self.k // 10)
        beams: list[Beam] = [(n * wide, None) for n in BEAMS]
        beams += [(n * wide, share) for n in (10, 15) for share in EARLY_EXIT]
        for beam in beams:
            early = "" if beam[1] is None else f", early exit {beam[1]}"
            yield Setting(
                f"ef_search {beam[0]}{early}",
                partial(self._batch, beam, 1),
                partial(self._single, beam),
                partial(self._batch, beam, 0),
            )
