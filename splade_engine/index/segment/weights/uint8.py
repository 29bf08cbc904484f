"""Weights as the nearest of 255 multiples of one scale per row: a byte an entry, four a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels.codes import LARGEST_SCALE, SCALE_BITS, SMALLEST_SCALE
from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty, check_each, check_length
from splade_engine.index.segment.threads import map_threads
from splade_engine.index.segment.weights.kind import WeightKind

if TYPE_CHECKING:
    from splade_engine.vectors import SparseVectors

_CODES, _SCALES = "doc_weights_8", "doc_scales"
_ROWS = 1 << 15  # quantised at a time


class Uint8(WeightKind):
    """8-bit codes, weight = code * scale of the row."""

    name = "uint8"
    arrays = (ArraySpec(_CODES, "|u1", optional=True), ArraySpec(_SCALES, "<f4", optional=True))

    def write(
        self, vectors: SparseVectors, offsets: NDArray[np.int64], threads: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """See `WeightKind`."""
        from splade_engine.index.kernels.weights import quantise_rows

        codes, scales = empty(vectors.nnz, np.uint8), empty(len(vectors), np.float32)

        def quantise(first: int) -> None:
            last = min(first + _ROWS, len(vectors))
            quantise_rows(
                first=first, last=last, offsets=offsets, weights=vectors.weights, codes=codes, scales=scales
            )

        map_threads(quantise, range(0, len(vectors), _ROWS), threads)
        return {_CODES: codes, _SCALES: scales}

    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """See `WeightKind`."""
        check_length(_CODES, arrays[_CODES], nnz)
        check_each(_CODES, arrays[_CODES], lambda part: part > 0, "must be finite and above 0")
        check_length(_SCALES, arrays[_SCALES], n_docs)
        check_each(_SCALES, arrays[_SCALES], _is_scale, "must be 2^-120 to 2^120 in 16 bits")

    def stored(self, arrays: Arrays) -> NDArray[Any]:
        """See `WeightKind`."""
        return np.asarray(arrays[_CODES])

    def scales(self, arrays: Arrays) -> NDArray[np.float32]:
        """See `WeightKind`."""
        return np.asarray(arrays[_SCALES])

    def read(
        self, stored: NDArray[Any], entries: NDArray[np.int64], scales: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See `WeightKind`."""
        weights: NDArray[np.float32] = stored[entries].astype(np.float32)
        weights *= scales
        return weights


def _is_scale(part: NDArray[Any]) -> NDArray[Any]:
    bits = part.view("<u4")
    good: NDArray[Any] = (part >= SMALLEST_SCALE) & (part <= LARGEST_SCALE) & (bits & ~SCALE_BITS == 0)
    return good
