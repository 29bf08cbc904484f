"""Rows that other systems wrote, in whatever order, as `SparseVectors`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.vectors import SparseVectors


def sorted_rows(
    indptr: NDArray[np.int64],
    terms: NDArray[Any],
    weights: NDArray[Any],
    n_terms: int | None,
    scale: float | None = None,
) -> SparseVectors:
    """Vectors of rows whose terms stand in any order.

    Args:
        indptr: int[n + 1].
        terms: whole numbers from 0.
        weights: numbers from 0; zeros are dropped.
        n_terms: size of the vocabulary; None: one more than the largest term.
        scale: what weights were multiplied by; None: they were not.

    Raises:
        InvalidInputError: for a shape that does not fit, a term twice in a row, or a value that cannot be
            meant, naming the row.
    """
    if indptr.ndim != 1 or len(indptr) < 1 or terms.ndim != 1 or weights.ndim != 1:
        raise InvalidInputError("indptr, indices and data must be one-dimensional")
    for name, array in (("indptr", indptr), ("indices", terms)):
        if not np.issubdtype(array.dtype, np.integer):
            raise InvalidInputError(f"{name}: whole numbers are expected, got {array.dtype}")
    if not (np.issubdtype(weights.dtype, np.floating) or np.issubdtype(weights.dtype, np.integer)):
        raise InvalidInputError(f"data: numbers are expected, got {weights.dtype}")
    if scale is not None:  # in double precision: the weights may be of half
        weights = weights.astype(np.float64) / scale
    ptr = indptr.astype(np.int64)
    if ptr[0] != 0 or ptr[-1] != len(terms) or len(terms) != len(weights) or (np.diff(ptr) < 0).any():
        raise InvalidInputError("indptr does not rise from 0 to the number of entries")
    if len(terms) and (terms.min() < 0 or terms.max() >= 2**31 - 1):
        raise InvalidInputError(f"a term of the number {int(terms.min())} or {int(terms.max())}")
    size = int(terms.max(initial=0)) + 1 if n_terms is None else n_terms
    owners = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    order = np.lexsort((terms, owners))
    return SparseVectors(ptr, terms[order].astype(np.int64), weights[order], size)
