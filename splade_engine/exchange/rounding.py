"""How the systems that vectors are exported to keep a weight, so that the loss can be measured here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import real, shown
from splade_engine.errors import InvalidInputError
from splade_engine.vectors import SparseVectors

MOST_SCALE = 1e6  # beyond it, weights of float32 begin to vanish

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Rounding:
    """What becomes of a weight."""

    # for the record: "9 significant bits"
    name: str
    # float32[n] to float32[n]: the weight that the system computes with, times `scale`; 0 where it is lost
    kept: Callable[[Weights], Weights]
    # what weights are multiplied by where whole numbers are written, else 1
    scale: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether every weight is kept as it is."""
        return self is EXACT

    def vectors(self, vectors: SparseVectors) -> SparseVectors:
        """The vectors as the system keeps them; entries that it loses are left out."""
        if self.exact:
            return vectors
        weights = self.kept(vectors.weights)
        there = weights > 0
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(there, dtype=np.int64)))
        kept = (weights[there] / np.float32(self.scale)).astype(np.float32)
        return SparseVectors.from_valid(before[vectors.indptr], vectors.terms[there], kept, vectors.n_terms)


EXACT = Rounding("none", lambda weights: weights)


def _upper_bits(weights: Weights) -> Weights:
    bits = np.ascontiguousarray(weights).view(np.uint32) & np.uint32(0xFFFF8000)
    kept: Weights = bits.view(np.float32)
    return kept


# Lucene's FeatureField keeps the upper 17 bits of a float: at most 0.4 % less
LUCENE = Rounding("9 significant bits (Lucene)", _upper_bits)
HALF = Rounding("half precision", lambda weights: weights.astype(np.float16).astype(np.float32))


def factor(scale: float) -> float:
    """What weights are multiplied by, where it can be meant.

    Raises:
        InvalidInputError: it is no number above 0, or so large that weights of float32 begin to vanish.
    """
    number = real("scale", scale, 0, MOST_SCALE)
    if number == 0:
        raise InvalidInputError(f"scale: a number above 0 is expected, got {shown(scale)}")
    return number


def whole(scale: float) -> Rounding:
    """Whole numbers: the weight times `scale`, rounded; 0 is lost."""
    return Rounding(
        f"whole numbers, weights times {scale:g}", lambda w: np.rint(w * np.float32(scale)), scale
    )


def bytes_below(ceiling: float) -> Rounding:
    """A byte: 255 steps up to `ceiling`, what is above is cut to it (OpenSearch's sparse_vector)."""
    step = np.float32(ceiling / 255)

    def kept(weights: Weights) -> Weights:
        return np.rint(np.minimum(weights, np.float32(ceiling)) / step) * step

    return Rounding(f"bytes, 255 steps up to {ceiling:g}", kept)
