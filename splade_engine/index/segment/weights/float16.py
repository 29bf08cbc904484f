"""Weights in half precision: each within a relative 2^-11, two bytes an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty
from splade_engine.index.segment.weights.kind import WeightKind, check_weights, convert_weights

if TYPE_CHECKING:
    from splade_engine.vectors import SparseVectors

LARGEST = 65504.0
SMALLEST = np.float32(2.0**-24)
_SECTION = "doc_weights_16"


class Float16(WeightKind):
    """IEEE half precision; kernels see the bits as uint16."""

    name = "float16"
    arrays = (ArraySpec(_SECTION, "<f2"),)

    def fits(self, largest: float) -> bool:
        """Whether weights up to `largest` can be held.

        Weights below the smallest float16 are raised to it; where even the largest is near it that would
        distort.
        """
        return 2.0**-10 <= largest <= LARGEST

    def refuse(self, largest: float) -> None:
        """See `WeightKind`."""
        if not self.fits(largest):
            raise InvalidInputError(
                f"weights: float16 needs a largest weight of 2^-10 to {LARGEST:.0f}, got {largest:g}"
            )

    def write(
        self, vectors: SparseVectors, offsets: NDArray[np.int64], threads: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """See `WeightKind`."""
        out = empty(vectors.nnz, np.float16)
        raised = lambda part: np.maximum(part, SMALLEST)  # noqa: E731
        return {_SECTION: convert_weights(vectors.weights, out, threads, raised)}

    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """See `WeightKind`."""
        check_weights(arrays, _SECTION, nnz)

    def stored(self, arrays: Arrays) -> NDArray[Any]:
        """See `WeightKind`."""
        return np.asarray(arrays[_SECTION]).view(np.uint16)

    def read(
        self, stored: NDArray[Any], entries: NDArray[np.int64], scales: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See `WeightKind`."""
        return stored[entries].view(np.float16).astype(np.float32)
