"""pyseismic-lsr: blocks with summaries per term, from its inner binary format."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from seismic import SeismicIndexRaw

from search_bench.engine import Ordinals, Setting, padded
from splade_engine.vectors import SparseVectors

Arguments = tuple[int, int, float, int, bool]  # k, query_cut, heap_factor, n_knn, sorted


class Seismic:
    """Its index takes minutes to hours: it is kept in the work folder, with the seconds it took.

    The environment's BENCH_SEISMIC, a JSON object, holds arguments of its build.
    """

    def __init__(self, docs: SparseVectors, queries: SparseVectors, k: int, work: Path) -> None:
        self.queries, self.k, self.file, self.scored = queries, k, work / "seismic.queries", float("nan")
        write_raw(queries, self.file)
        saved, note = work / f"seismic-{len(docs)}", work / f"seismic-{len(docs)}.json"
        if not note.exists():
            write_raw(docs, work / "seismic.docs")
            start = time.perf_counter()
            options = json.loads(os.environ.get("BENCH_SEISMIC", "{}"))
            index = SeismicIndexRaw.build(str(work / "seismic.docs"), **options)
            index.save(str(saved))
            (work / "seismic.docs").unlink()
            note.write_text(json.dumps({"build": time.perf_counter() - start}))
        self.build = json.loads(note.read_text())["build"]
        path = next(p for p in (saved, Path(f"{saved}.index.seismic")) if p.exists())
        self.bytes, self.index = path.stat().st_size, SeismicIndexRaw.load(str(path))

    def _batch(self, arguments: Arguments, threads: int) -> Ordinals:
        rows = self.index.batch_search(str(self.file), *arguments, threads)
        return padded([[hit[1] for hit in row] for row in rows], self.k)

    def _single(self, arguments: Arguments, i: int) -> None:
        terms, weights = self.queries.row(i)
        self.index.search(terms, weights, *arguments)

    def settings(self) -> Iterator[Setting]:
        """Query terms x heap factor x whether the first list is sorted by its summaries."""
        for cut in (3, 4, 5, 6, 8, 10, 12):
            for factor in (0.7, 0.8, 0.9, 1.0):
                for ordered in (True, False):
                    arguments = (self.k, cut, factor, 0, ordered)
                    yield Setting(
                        f"query_cut {cut}, heap factor {factor}, sorted {ordered}",
                        partial(self._batch, arguments, 1),
                        partial(self._single, arguments),
                        partial(self._batch, arguments, 0),
                    )


def write_raw(vectors: SparseVectors, path: Path) -> None:
    """Seismic's inner format: u32 rows; per row its length, its terms, its float32 weights."""
    at = vectors.indptr[:-1] * 2 + np.arange(len(vectors))
    out = np.empty(2 * vectors.nnz + len(vectors), np.uint32)
    out[at] = vectors.row_nnz
    rows = np.repeat(np.arange(len(vectors)), vectors.row_nnz)
    place = at[rows] + 1 + np.arange(vectors.nnz) - vectors.indptr[rows]
    out[place] = vectors.terms
    out[place + vectors.row_nnz[rows]] = vectors.weights.view(np.uint32)
    with path.open("wb") as file:
        np.array([len(vectors)], "<u4").tofile(file)
        out.tofile(file)
