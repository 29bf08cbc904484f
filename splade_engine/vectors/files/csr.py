"""The .csr files of BigANN: three counts, then the three arrays of compressed sparse rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.vectors.files.vector_file import VectorFile
from splade_engine.vectors.sparse_vectors import SparseVectors


def write_csr(file: IO[bytes], content: VectorFile) -> None:
    """Write counts and arrays; ids and vocabulary have no place there."""
    vectors = content.vectors
    np.array([len(vectors), vectors.n_terms, vectors.nnz], "<i8").tofile(file)
    for array, dtype in ((vectors.indptr, "<i8"), (vectors.terms, "<i4"), (vectors.weights, "<f4")):
        array.astype(dtype, copy=False).tofile(file)


def read_csr(path: Path, vocabulary: Sequence[str] | None = None) -> VectorFile:
    """Read a file that numbers its terms and its rows: without a vocabulary, without ids."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = np.fromfile(file, "<i8", 3)
        if len(header) < 3 or header.min() < 0:
            raise InvalidInputError(f"{path}: no header of three counts")
        rows, n_terms, nnz = (int(x) for x in header)
        expected = 24 + 8 * (rows + 1) + 8 * nnz
        if size != expected:
            raise InvalidInputError(f"{path}: {size} bytes, but its header announces {expected}")
        ptr = np.fromfile(file, "<i8", rows + 1)
        terms = np.fromfile(file, "<i4", nnz)
        weights = np.fromfile(file, "<f4", nnz)
    return VectorFile(SparseVectors.adopt(ptr, terms, weights, n_terms), None)
