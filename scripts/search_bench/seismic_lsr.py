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

# n_postings, centroid_fraction, summary_energy, max_fraction: many small blocks with full summaries, which
# won on vectors of a real SPLADE model, with lists from short to long; what the documentation gives for high
# accuracy; the package's defaults
BUILDS = (
    (200, 0.3, 0.7, 1.5),
    (500, 0.3, 0.7, 1.5),
    (1000, 0.3, 0.7, 1.5),
    (1000, 0.2, 0.5, 3.0),
    (3000, 0.2, 0.5, 6.0),
    (3500, 0.1, 0.4, 1.5),
)


class Seismic:
    """An index takes minutes to hours: each is kept in the work folder, with the seconds it took.

    Build time and bytes are those of the most expensive one; the settings say what each took. The
    environment's BENCH_SEISMIC, a JSON list of builds like `BUILDS`, takes the place of it.
    """

    def __init__(self, docs: SparseVectors, queries: SparseVectors, k: int, work: Path) -> None:
        self.queries, self.k, self.file, self.scored = queries, k, work / "seismic.queries", float("nan")
        write_raw(queries, self.file)
        self.build, self.bytes = 0.0, 0
        self.indexes: list[tuple[str, Path]] = []
        chosen = os.environ.get("BENCH_SEISMIC")
        builds = [tuple(build) for build in json.loads(chosen)] if chosen else BUILDS
        for n_postings, fraction, energy, most in builds:
            saved = work / f"seismic-{len(docs)}-{n_postings}-{fraction}-{energy}-{most}"
            note = Path(f"{saved}.json")
            if not note.exists():
                raw = work / "seismic.docs"
                write_raw(docs, raw)
                start = time.perf_counter()
                index = SeismicIndexRaw.build(
                    str(raw),
                    n_postings=n_postings,
                    centroid_fraction=fraction,
                    summary_energy=energy,
                    max_fraction=most,
                )
                index.save(str(saved))
                note.write_text(json.dumps({"build": time.perf_counter() - start}))
                raw.unlink()
                del index
            seconds = json.loads(note.read_text())["build"]
            path = next(p for p in (saved, Path(f"{saved}.index.seismic")) if p.exists())
            size = path.stat().st_size
            self.build, self.bytes = max(self.build, seconds), max(self.bytes, size)
            words = f"n_postings {n_postings}, centroid_fraction {fraction}, summary_energy {energy}"
            words += f", max_fraction {most} ({seconds:.0f} s, {size / 2**20:.0f} MiB)"
            self.indexes.append((words, path))

    def _batch(self, index: SeismicIndexRaw, arguments: Arguments, threads: int) -> Ordinals:
        rows = index.batch_search(str(self.file), *arguments, threads)
        return padded([[hit[1] for hit in row] for row in rows], self.k)

    def _single(self, index: SeismicIndexRaw, arguments: Arguments, i: int) -> None:
        terms, weights = self.queries.row(i)
        index.search(terms, weights, *arguments)

    def settings(self) -> Iterator[Setting]:
        """For each index: query terms x heap factor x whether the first list is sorted by its summaries."""
        for words, path in self.indexes:
            index = SeismicIndexRaw.load(str(path))  # one at a time: each takes gigabytes
            for cut in (3, 4, 5, 6, 8, 10, 12):
                for factor in (0.7, 0.8, 0.9, 1.0):
                    for ordered in (True, False):
                        arguments = (self.k, cut, factor, 0, ordered)
                        yield Setting(
                            f"{words}, query_cut {cut}, heap factor {factor}, sorted {ordered}",
                            partial(self._batch, index, arguments, 1),
                            partial(self._single, index, arguments),
                            partial(self._batch, index, arguments, 0),
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
