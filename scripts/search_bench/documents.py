"""The documents of a benchmark: read, mapped, or as a stream, so that ten million of them need no memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files import read_vectors

ROWS = 50_000  # of a stream at a time


@dataclass(frozen=True)
class Documents:
    """The first documents of a file. Called, it reads them: an index that is kept needs none of them."""

    path: Path
    # how many; all where it is None
    first: int | None = None
    # MiB within which an engine that can do so builds from a stream; None: from all of them, in memory
    memory: int | None = None

    def __call__(self) -> SparseVectors:
        """All of them, in memory, and no others of the file."""
        if self.first is None or self.path.suffix != ".csr":
            return read_vectors(self.path).vectors[: self.first]
        return SparseVectors.concat(list(self.stream()))

    def mapped(self) -> SparseVectors:
        """They lie in the file, and nothing is checked; read where the file is no .csr."""
        if self.path.suffix != ".csr":
            return self()
        n_rows, n_terms, nnz = _header(self.path)
        begin = 24 + 8 * (n_rows + 1)
        parts = (
            np.fromfile(self.path, "<i8", n_rows + 1, offset=24),
            np.memmap(self.path, "<i4", "r", begin, (nnz,)),
            np.memmap(self.path, "<f4", "r", begin + 4 * nnz, (nnz,)),
        )
        return SparseVectors.from_valid(*parts, n_terms)[: self.first]

    def stream(self) -> Iterator[SparseVectors]:
        """A batch after the other."""
        if self.path.suffix != ".csr":
            yield self()
            return
        n_rows, n_terms, nnz = _header(self.path)
        begin = 24 + 8 * (n_rows + 1)
        offsets = np.fromfile(self.path, "<i8", n_rows + 1, offset=24)
        n = n_rows if self.first is None else min(self.first, n_rows)
        for first in range(0, n, ROWS):
            rows = offsets[first : min(first + ROWS, n) + 1]
            at, count = int(rows[0]), int(rows[-1] - rows[0])
            terms = np.fromfile(self.path, "<i4", count, offset=begin + 4 * at)
            weights = np.fromfile(self.path, "<f4", count, offset=begin + 4 * (nnz + at))
            yield SparseVectors.adopt(rows - at, terms, weights, n_terms)


def _header(path: Path) -> tuple[int, int, int]:
    rows, n_terms, nnz = np.fromfile(path, "<i8", 3).tolist()
    return rows, n_terms, nnz
