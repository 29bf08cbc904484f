"""Rows as mappings, of term ids or of tokens, become arrays; a broken rule is reported with row and term."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many, shown
from splade_engine.errors import InvalidInputError
from splade_engine.plain_text import shortened
from splade_engine.vectors.checks import checked_n_terms

LARGEST = 1e308  # that becomes a float at all; what a weight may be is checked afterwards


def entries_of(
    rows: Iterable[Mapping[int, float]], n_terms: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The compressed sparse rows of one {term id: weight} mapping per row.

    Returns:
        indptr int64[n + 1], terms int64[nnz] in order within each row, weights float64[nnz].

    Raises:
        InvalidInputError: naming the row, and the term or weight that is not one.
    """
    check_many("rows", rows, "mappings")
    n_terms = checked_n_terms(n_terms)
    ptr: list[int] = [0]
    terms: list[int] = []
    weights: list[float] = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"row {number}: {type(row).__name__}, not a mapping of term to weight")
        _check_terms(number, row, n_terms)
        items = sorted(row.items())
        terms.extend(t for t, _ in items)
        weights.extend(w for _, w in items)
        ptr.append(len(terms))
    for entry, weight in enumerate(weights):
        if isinstance(weight, float | np.floating):  # nearly always
            continue
        if not isinstance(weight, Real) or isinstance(weight, bool | np.bool_) or abs(weight) > LARGEST:
            number = int(np.searchsorted(ptr, entry, side="right")) - 1
            raise InvalidInputError(
                f"row {number}, term {terms[entry]}: weight {shown(weight)} is not a number"
            )
    return np.array(ptr), np.array(terms, dtype=np.int64), np.array(weights, dtype=np.float64)


def _check_terms(number: int, row: Mapping[Any, Any], n_terms: int) -> None:
    for term in row:
        if isinstance(term, bool) or not isinstance(term, int | np.integer):
            raise InvalidInputError(f"row {number}: term {shown(term)} is not an integer")
        if not 0 <= term < n_terms:
            raise InvalidInputError(
                f"row {number}, term {shown(term)}, weight {shown(row[term])}: "
                f"the vocabulary ends at {n_terms - 1}"
            )


def numbered(rows: Iterable[Mapping[str, float]], vocabulary: Sequence[str]) -> Iterator[dict[int, float]]:
    """Each {token: weight} mapping with the place of the token in `vocabulary` in its stead.

    Raises:
        InvalidInputError: naming the row and the token that is not in the vocabulary.
    """
    check_many("rows", rows, "mappings")
    term_of = {token: term for term, token in enumerate(vocabulary)}
    return (_numbered(number, row, term_of) for number, row in enumerate(rows))


def _numbered(number: int, row: Mapping[str, float], term_of: Mapping[str, int]) -> dict[int, float]:
    if not isinstance(row, Mapping):
        raise InvalidInputError(f"row {number}: {type(row).__name__}, not a mapping of token to weight")
    try:
        return {term_of[token]: weight for token, weight in row.items()}
    except KeyError as error:
        token = shortened(repr(error.args[0]), 80)
        raise InvalidInputError(f"row {number}: token {token} is not in the vocabulary") from None
