"""`WeightKind`: one way to store the weights of a segment's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty, check_each, check_length
from splade_engine.index.segment.threads import map_threads

if TYPE_CHECKING:
    from splade_engine.vectors import SparseVectors

CHUNK = 1 << 22  # entries converted at a time


class WeightKind(ABC):
    """One way to store weights: its arrays, the rules that make kernels safe on them, writing and reading.

    What a kernel reads (`kernels/weights.py`) is told by the dtype of `stored`, so each kind has another one.
    """

    # as in `BuildConfig.weights`
    name: ClassVar[str]
    # in the order of the file; where the kind is used one of them is not empty
    arrays: ClassVar[tuple[ArraySpec, ...]]

    def refuse(self, largest: float) -> None:  # noqa: B027  (most kinds hold all weights)
        """Refuse weights that it cannot hold; `largest` is the largest of them.

        Raises:
            InvalidInputError: naming the kind and the weight.
        """

    @abstractmethod
    def write(
        self, vectors: SparseVectors, offsets: NDArray[np.int64], threads: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """Its arrays for these vectors, whose rows begin at int64[n_docs + 1] `offsets`."""

    @abstractmethod
    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """Check every property that a kernel relies on.

        Raises:
            IndexCorruptError: "<array>: <rule>, at <place>: <value>".
        """

    @abstractmethod
    def stored(self, arrays: Arrays) -> NDArray[Any]:
        """What kernels read weights from."""

    def scales(self, arrays: Arrays) -> NDArray[np.float32]:
        """float32[n_docs], what the codes of each row are multiplied by; empty where weights are no codes."""
        return np.zeros(0, np.float32)

    @abstractmethod
    def read(
        self, stored: NDArray[Any], entries: NDArray[np.int64], scales: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The weights of these entries.

        Args:
            stored: as `stored` gives it.
            entries: int64[n], places among all entries of the segment.
            scales: float32[n], the scale of each entry's row; empty where there are none.
        """


def convert_weights(
    weights: NDArray[np.float32],
    out: NDArray[Any],
    threads: int,
    convert: Callable[[NDArray[np.float32]], NDArray[Any]] = lambda part: part,
) -> NDArray[Any]:
    """Fill `out` with the weights, converted a chunk at a time; returns it."""

    def fill(first: int) -> None:
        part = slice(first, first + CHUNK)
        out[part] = convert(weights[part])

    map_threads(fill, range(0, len(weights), CHUNK), threads)
    return out


def check_weights(arrays: Arrays, name: str, nnz: int) -> None:
    """Check that floating-point weights are `nnz`, finite and above 0.

    Raises:
        IndexCorruptError: as `WeightKind.check`.
    """
    weights = arrays[name]
    check_length(name, weights, nnz)
    # numpy compares float16 one by one; as whole numbers the bits of finite positive ones are 1 to those of
    # infinity - 1, and what is not positive or finite lies outside
    bits = np.dtype(f"u{weights.itemsize}").type
    infinity = np.asarray(np.inf, weights.dtype).view(bits)[()]
    check_each(
        name,
        weights,
        lambda part: part.view(bits) - bits(1) < infinity - bits(1),
        "must be finite and above 0",
    )
