"""The rows of a segment, document by document, read the same way however they are stored."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels import groups
from splade_engine.index.segment.arrays import Arrays
from splade_engine.index.segment.terms import stored_terms
from splade_engine.index.segment.weights import stored_weights


class Rows:
    """The rows of checked arrays.

    Attributes:
        offsets: int64[n_docs + 1]: row d is entries offsets[d] to offsets[d + 1].
        terms: an item for each entry: its term number, or part of it (`terms/`).
        blocks: what else belongs to term numbers; uint8[0] where nothing does.
        n_blocks: see `TermKind.n_blocks`.
        weights: as kernels read them (`kernels/weights.py`).
        scales: float32[n_docs]: weight = code * scale of the row; empty where weights are no codes.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self.term_kind, self.weight_kind = stored_terms(arrays), stored_weights(arrays)
        self.offsets = np.asarray(arrays["doc_offsets"])
        self.terms = np.asarray(arrays[self.term_kind.section])
        self.blocks = self.term_kind.blocks(arrays)
        self.n_blocks = self.term_kind.n_blocks(len(arrays["term_ids"]))
        self.weights = self.weight_kind.stored(arrays)
        self.scales = self.weight_kind.scales(arrays)

    @functools.cached_property
    def arrays(self) -> groups.Rows:
        """What kernels are given."""
        return groups.Rows(
            offsets=self.offsets,
            terms=self.terms,
            blocks=self.blocks,
            n_blocks=self.n_blocks,
            weights=self.weights,
            scales=self.scales,
        )

    def read(
        self, ordinals: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float32]]:
        """(indptr, term numbers, weights) of these rows, in this order."""
        lengths = self.offsets[ordinals + 1] - self.offsets[ordinals]
        ptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        entry = np.repeat(self.offsets[ordinals] - ptr[:-1], lengths) + np.arange(ptr[-1])
        terms = self.term_kind.read(self._arrays, ordinals, ptr, entry)
        scales = np.repeat(self.scales[ordinals], lengths) if len(self.scales) else self.scales
        return ptr, terms, self.weight_kind.read(self.weights, entry, scales)
