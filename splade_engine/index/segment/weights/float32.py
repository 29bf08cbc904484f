"""Weights as they are given, in single precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty
from splade_engine.index.segment.weights.kind import WeightKind, check_weights, convert_weights

if TYPE_CHECKING:
    from splade_engine.vectors import SparseVectors

_SECTION = "doc_weights_32"


class Float32(WeightKind):
    """IEEE single precision: every bit is kept."""

    name = "float32"
    arrays = (ArraySpec(_SECTION, "<f4"),)

    def write(
        self, vectors: SparseVectors, offsets: NDArray[np.int64], threads: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """See `WeightKind`."""
        out = empty(vectors.nnz, np.float32)
        return {_SECTION: convert_weights(vectors.weights, out, threads)}

    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """See `WeightKind`."""
        check_weights(arrays, _SECTION, nnz)

    def stored(self, arrays: Arrays) -> NDArray[Any]:
        """See `WeightKind`."""
        return np.asarray(arrays[_SECTION])

    def read(
        self, stored: NDArray[Any], entries: NDArray[np.int64], scales: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See `WeightKind`."""
        weights: NDArray[np.float32] = stored[entries]
        return weights
