"""Seismic, as pyseismic-lsr packages it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from seismic import SeismicIndexRaw

from search_bench.documents import ROWS, Documents
from search_bench.engine import Ordinals, Setting, kept_build, padded
from splade_engine.vectors import SparseVectors

Arguments = tuple[int, int, float, int, bool]  # k, query_cut, heap_factor, n_knn, sorted


class Seismic:
    """One build; it takes minutes to hours."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.queries, self.k, self.scored = queries, k, float("nan")
        self.file = folder.with_name(f"{folder.name}.queries-{k}")
        n_postings, fraction, energy, most = build.split("-")

        def make(vectors: SparseVectors) -> None:
            raw = folder / "documents"
            write_raw(vectors, raw)
            index = SeismicIndexRaw.build(
                str(raw),
                n_postings=int(n_postings),
                centroid_fraction=float(fraction),
                summary_energy=float(energy),
                max_fraction=float(most),
            )
            index.save(str(folder / "index"))
            raw.unlink()

        self.built = kept_build(folder, docs, make)
        write_raw(queries, self.file)
        self.index = SeismicIndexRaw.load(str(next(folder.glob("index*"))))

    def _batch(self, arguments: Arguments, threads: int) -> Ordinals:
        rows = self.index.batch_search(str(self.file), *arguments, threads)
        return padded([[hit[1] for hit in row] for row in rows], self.k)

    def _single(self, arguments: Arguments, i: int) -> None:
        terms, weights = self.queries.row(i)
        self.index.search(terms, weights, *arguments)

    def settings(self) -> Iterator[Setting]:
        """Query terms x heap factor x whether the first list is sorted by its summaries.

        A block is skipped if its summary's score is below heap factor x the k-th best score so far. Full
        summaries overestimate, so that factors above 1, which no documentation mentions, are the best ones.
        """
        for cut in (3, 4, 5, 6, 8, 10, 12):
            for factor in (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5):
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
    with path.open("wb") as file:
        np.array([len(vectors)], "<u4").tofile(file)
        for first in range(0, len(vectors), ROWS):
            _raw_rows(vectors[first : first + ROWS]).tofile(file)


def _raw_rows(vectors: SparseVectors) -> NDArray[np.uint32]:
    at = vectors.indptr[:-1] * 2 + np.arange(len(vectors))
    out = np.empty(2 * vectors.nnz + len(vectors), np.uint32)
    out[at] = vectors.row_nnz
    rows = np.repeat(np.arange(len(vectors)), vectors.row_nnz)
    place = at[rows] + 1 + np.arange(vectors.nnz) - vectors.indptr[rows]
    out[place] = vectors.terms
    out[place + vectors.row_nnz[rows]] = vectors.weights.view(np.uint32)
    return out
