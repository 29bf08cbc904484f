"""The arrays of a segment, and the rules that make every kernel safe on them.

A segment of n documents knows T distinct terms, numbered 0..T-1 in the order of their ids (`term_ids`), and
stores each entry twice:

- by document (the rows), with the weight that "exact" is exact over: row d is entries `doc_offsets[d]` to
  `doc_offsets[d + 1]` of its term numbers, stored in one of the ways of `terms/`, and of its weights, stored
  in one of the ways of `weights/`;
- by term (the posting lists), in one of the ways of `list_kinds.py`, with upper bounds of the weights.

Of the arrays for terms, and of those for weights, all but one are empty. No kernel
checks bounds; `check_structure` checks every property that one relies on, before any runs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.segment.arrays import (
    Arrays,
    ArraySpec,
    check_each,
    check_length,
    check_offsets,
)
from splade_engine.index.segment.list_kinds import LIST_KINDS, listed_lists, stored_lists
from splade_engine.index.segment.terms import TERM_KINDS, check_terms
from splade_engine.index.segment.weights import WEIGHT_KINDS, check_weights

_REQUIRED = (ArraySpec("term_ids", "<u4"), ArraySpec("doc_offsets", "<i8"))
# kinds of term numbers may share an array
_TERMS = tuple(dict.fromkeys(spec for kind in TERM_KINDS for spec in kind.arrays))
_WEIGHTS = tuple(spec for kind in WEIGHT_KINDS for spec in kind.arrays)
_LISTS = tuple(spec for kind in LIST_KINDS for spec in kind.arrays)
# in the order of the file: first those that every file has, empty or not, as format 1 has them
SEGMENT_ARRAYS = (
    *_REQUIRED,
    *(spec for spec in _TERMS if not spec.optional),
    *(spec for spec in _WEIGHTS if not spec.optional),
    *_LISTS,
    *(spec for spec in _WEIGHTS if spec.optional),
    *(spec for spec in _TERMS if spec.optional),
)


def file_arrays(sections: Collection[str]) -> list[str]:
    """The arrays that a file with these sections has to hold, in order: an optional one where it is named."""
    lists = {spec.name for spec in listed_lists(sections).arrays}
    others = {spec.name for kind in LIST_KINDS for spec in kind.arrays} - lists
    return [
        spec.name
        for spec in SEGMENT_ARRAYS
        if spec.name not in others and (not spec.optional or spec.name in sections)
    ]


def check_structure(arrays: Arrays, *, n_docs: int, n_terms: int, nnz: int) -> None:
    """Check every property that a kernel relies on.

    Raises:
        IndexCorruptError: "<array>: <rule>, at <place>: <value>".
    """
    for spec in SEGMENT_ARRAYS:
        array = arrays.get(spec.name)
        if array is None:
            raise IndexCorruptError(f"{spec.name}: the array is missing")
        if array.ndim != 1 or array.dtype != np.dtype(spec.dtype):
            raise IndexCorruptError(
                f"{spec.name}: must be one-dimensional {spec.dtype}, got {array.ndim}-d {array.dtype.str}"
            )
    _check_terms(arrays["term_ids"], n_terms)
    _check_forward(arrays, n_docs, nnz)
    lists = stored_lists(arrays)
    for kind in LIST_KINDS:
        for spec in kind.arrays if kind != lists else ():
            check_length(spec.name, arrays[spec.name], 0)
    lists.check(arrays, n_docs, nnz)


def _check_terms(ids: NDArray[Any], n_terms: int) -> None:
    if len(ids) == 0:
        return
    check_each("term_ids", ids, lambda part: part < n_terms, f"must be below {n_terms}")
    falls = ids[1:] <= ids[:-1]
    if falls.any():
        at = int(np.argmax(falls)) + 1
        raise IndexCorruptError(f"term_ids: must be strictly increasing, at {at}: {ids[at]}")


def _check_forward(arrays: Arrays, n_docs: int, nnz: int) -> None:
    offsets = arrays["doc_offsets"]
    check_offsets("doc_offsets", offsets, n_docs + 1, nnz)
    check_terms(arrays, n_docs, nnz)
    check_weights(arrays, n_docs, nnz)
