"""What makes three arrays a valid `SparseVectors`; a broken rule is reported with row, term and value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import first_twice, many, shown
from splade_engine.errors import InvalidInputError, reason_of

MAX_TERMS = 2**31 - 1  # term ids are int32
_CHECK_CHUNK = 1 << 24  # entries at a time: checking 1 G postings needs no second copy of them


def checked_n_terms(n_terms: int) -> int:
    """The vocabulary size as an int, if it is one that term ids can have."""
    if isinstance(n_terms, bool) or not isinstance(n_terms, int | np.integer):
        raise InvalidInputError(f"n_terms must be an integer, got {shown(n_terms)}")
    if not 1 <= n_terms <= MAX_TERMS:
        raise InvalidInputError(f"n_terms must be between 1 and {MAX_TERMS}, got {shown(n_terms)}")
    return int(n_terms)


def copied(name: str, values: ArrayLike) -> NDArray[Any]:
    """A new array of what the caller gave.

    Raises:
        InvalidInputError: for what is no array of numbers, or hides some behind a mask.
    """
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():  # a copy would have what the mask hides
        raise InvalidInputError(f"{name}: entry {int(np.argmax(values.mask))} is masked")
    try:
        return np.array(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(f"{name}: no array of numbers ({reason_of(error):.200})") from None


def checked_integers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """`values` as int64, refused (not rounded) when they are not integers."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise InvalidInputError(f"{name} must be integers, got {array.dtype}")
    return array.astype(np.int64, copy=False)


def checked_vocabulary(vocabulary: Iterable[str]) -> Sequence[str]:
    """The token of each term, as often as they are wanted.

    Raises:
        InvalidInputError: for a token that is no text, or given twice: weights of one would be the other's.
    """
    tokens = many("vocabulary", vocabulary, "tokens")
    if not all(isinstance(token, str) for token in tokens):
        odd = next(token for token in tokens if not isinstance(token, str))
        raise InvalidInputError(f"vocabulary: a token is a string, got {shown(odd)}")
    if len(set(tokens)) < len(tokens):
        raise InvalidInputError(f"vocabulary: the token {shown(first_twice(tokens))} is given twice")
    return tokens


def check_shapes(ptr: NDArray[np.int64], terms: NDArray[Any], weights: NDArray[Any]) -> None:
    """Dimensions and lengths agree, and `indptr` runs from 0 to nnz without falling."""
    if ptr.ndim != 1 or terms.ndim != 1 or weights.ndim != 1:
        raise InvalidInputError("indptr, terms and weights must have one dimension each")
    if len(terms) and not np.issubdtype(terms.dtype, np.integer):
        raise InvalidInputError(f"terms must be integers, got {terms.dtype}")
    if len(weights) and not (
        np.issubdtype(weights.dtype, np.floating) or np.issubdtype(weights.dtype, np.integer)
    ):
        raise InvalidInputError(f"weights must be real numbers, got {weights.dtype}")
    if len(terms) != len(weights):
        raise InvalidInputError(f"{len(terms)} terms but {len(weights)} weights")
    if len(ptr) == 0 or ptr[0] != 0:
        raise InvalidInputError("indptr must start with 0")
    steps = np.diff(ptr)
    if len(steps) and steps.min() < 0:
        row = int(np.argmax(steps < 0))
        raise InvalidInputError(f"row {row}: indptr falls from {ptr[row]} to {ptr[row + 1]}")
    if ptr[-1] != len(terms):
        raise InvalidInputError(f"indptr ends at {ptr[-1]}, but there are {len(terms)} terms")


def check_entries(ptr: NDArray[np.int64], terms: NDArray[Any], weights: NDArray[Any], n_terms: int) -> None:
    """Range and order of the terms, sign and finiteness of the weights, in chunks."""
    largest = np.finfo(np.float32).max
    for a in range(0, len(terms), _CHECK_CHUNK):
        b = min(a + _CHECK_CHUNK, len(terms))
        t, w = terms[a:b], weights[a:b]
        outside = (t < 0) | (t >= n_terms)
        if outside.any():
            raise _bad_entry(
                ptr,
                terms,
                weights,
                a + int(np.argmax(outside)),
                f"the vocabulary ends at {n_terms - 1}",
            )
        bad = ~((w >= 0) & (w <= largest))  # NaN fails both comparisons
        if bad.any():
            raise _bad_entry(
                ptr, terms, weights, a + int(np.argmax(bad)), "weights are finite and not negative"
            )
        # the entry before the chunk is compared too: a row across two chunks is checked whole
        first = max(a - 1, 0)
        falls = np.flatnonzero(terms[first : b - 1] >= terms[first + 1 : b]) + first + 1
        inside = falls[ptr[np.searchsorted(ptr, falls, side="right") - 1] != falls]
        if len(inside):
            raise _bad_entry(ptr, terms, weights, int(inside[0]), "terms of a row are strictly increasing")


def _bad_entry(
    ptr: NDArray[np.int64], terms: NDArray[Any], weights: NDArray[Any], entry: int, rule: str
) -> InvalidInputError:
    row = int(np.searchsorted(ptr, entry, side="right")) - 1
    return InvalidInputError(f"row {row}, term {terms[entry]}, weight {weights[entry]}: {rule}")
