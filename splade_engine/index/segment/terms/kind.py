"""`TermKind`: one way to store the term numbers of a segment's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty


class TermKind(ABC):
    """One way to store term numbers: its arrays, the rules that make kernels safe, writing and reading.

    Numbers ascend within a row. What a kernel reads (`kernels/score.py`) is told by the dtypes of the first
    array and of `blocks`, so each kind has another pair.
    """

    # as in `BuildConfig.terms`; kinds of one name differ in width, the narrow one first
    name: ClassVar[str]

    def __init__(self, most: int, *arrays: ArraySpec) -> None:
        # numbers below this can be stored
        self.most = most
        # the first has an item for each entry, and belongs to this kind alone
        self.arrays = arrays

    @property
    def section(self) -> str:
        """The array with an item for each entry."""
        return self.arrays[0].name

    @abstractmethod
    def write(
        self, offsets: NDArray[np.int64], terms: NDArray[Any], n_local: int, empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """Its arrays.

        Args:
            offsets: int64[n_docs + 1], where the rows begin.
            terms: the term number of every entry, uint16 or uint32.
            n_local: all of them are below this.
            empty: makes an array of a length and a dtype.
        """

    @abstractmethod
    def check(self, arrays: Arrays, n_docs: int, nnz: int) -> None:
        """Check every property that a kernel relies on.

        Raises:
            IndexCorruptError: "<array>: <rule>, at <place>: <value>".
        """

    def blocks(self, arrays: Arrays) -> NDArray[Any]:
        """What kernels read besides the first array; uint8[0] where that is all."""
        return np.zeros(0, np.uint8)

    def n_blocks(self, n_local: int) -> int:
        """How many different upper parts the numbers below `n_local` have; 0 where they are whole."""
        return 0

    @abstractmethod
    def read(
        self,
        arrays: Arrays,
        ordinals: NDArray[np.int64],
        starts: NDArray[np.int64],
        entries: NDArray[np.int64],
    ) -> NDArray[Any]:
        """The term numbers of some rows.

        Args:
            arrays: those of the segment.
            ordinals: which rows, in this order.
            starts: int64[len(ordinals) + 1], where each begins in the result.
            entries: the places of what they hold among all entries of the segment.
        """
