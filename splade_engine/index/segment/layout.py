"""The arrays of a segment, and the rules that make every kernel safe on them.

A segment of n documents knows T distinct terms, numbered 0..T-1 in the order of their ids (`term_ids`), and
stores each entry twice:

- by document (the rows), with the weight that "exact" is exact over: row d is entries `doc_offsets[d]` to
  `doc_offsets[d + 1]` of `doc_terms_*` and `doc_weights_*`. Where term numbers are split, `doc_term_lows_*`
  takes the place of `doc_terms_*`, and `doc_term_blocks` holds the upper bits (`kernels/split.py`); weights
  are stored in one of the ways of `weights/`;
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
    check_ascending,
    check_each,
    check_empty,
    check_length,
    check_offsets,
)
from splade_engine.index.segment.list_kinds import LIST_KINDS, listed_lists, stored_lists
from splade_engine.index.segment.term_kinds import TERM_KINDS, TermKind, stored_terms
from splade_engine.index.segment.weights import WEIGHT_KINDS, check_weights

_WORDS = 1 << 14  # of 64 bits, checked at a time: some 1 M entries of 50 bytes


_REQUIRED = (
    ArraySpec("term_ids", "<u4"),
    ArraySpec("doc_offsets", "<i8"),
    ArraySpec("doc_terms_16", "<u2"),
    ArraySpec("doc_terms_32", "<u4"),
)
_OPTIONAL = (
    ArraySpec("doc_term_lows_8", "|u1", optional=True),
    ArraySpec("doc_term_lows_16", "<u2", optional=True),
    ArraySpec("doc_term_blocks", "<u8", optional=True),
)
_WEIGHTS = tuple(spec for kind in WEIGHT_KINDS for spec in kind.arrays)
_LISTS = tuple(spec for kind in LIST_KINDS for spec in kind.arrays)
# in the order of the file: first those that every file has, empty or not, as format 1 has them
SEGMENT_ARRAYS = (
    *_REQUIRED,
    *(spec for spec in _WEIGHTS if not spec.optional),
    *_LISTS,
    *(spec for spec in _WEIGHTS if spec.optional),
    *_OPTIONAL,
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
    _check_row_terms(arrays, n_docs, nnz)
    check_weights(arrays, n_docs, nnz)


def _check_row_terms(arrays: Arrays, n_docs: int, nnz: int) -> None:
    n_local, offsets, kind = len(arrays["term_ids"]), arrays["doc_offsets"], stored_terms(arrays)
    terms = arrays[kind.section]
    check_length(kind.section, terms, nnz)
    for other in TERM_KINDS:
        if other != kind:
            check_empty(other.section, arrays[other.section], kind.section)
    blocks, n_blocks = arrays["doc_term_blocks"], kind.n_blocks(n_local)
    if not kind.low_bits:
        check_length("doc_term_blocks", blocks, 0)
        check_each(kind.section, terms, lambda part: part < n_local, f"must be below {n_local}")
        check_ascending(kind.section, terms, offsets)
        return
    check_length("doc_term_blocks", blocks, -(-(nnz + n_docs * n_blocks) // 64))
    _check_split(arrays, kind, n_blocks, nnz)


def _check_split(arrays: Arrays, kind: TermKind, n_blocks: int, nnz: int) -> None:
    """Every entry sets one bit among those of its own row, and terms put together again ascend."""
    words, lows, offsets = arrays["doc_term_blocks"], arrays[kind.section], arrays["doc_offsets"]
    n_local, seen, last_row, last_term = len(arrays["term_ids"]), 0, -1, -1
    for a in range(0, len(words), _WORDS):
        part = np.ascontiguousarray(words[a : a + _WORDS]).view(np.uint8)
        places = np.flatnonzero(np.unpackbits(part, bitorder="little")) + 64 * a
        end = seen + len(places)
        if end > nnz:
            break
        if end == seen:
            continue
        rows = _rows_of(offsets, seen, end)
        block = places - np.arange(seen, end) - rows * n_blocks
        terms = (block << kind.low_bits) | lows[seen:end]
        good = (block >= 0) & (terms < n_local)
        if not good.all():
            at = int(np.argmin(good))
            raise IndexCorruptError(
                f"doc_term_blocks: must give terms below {n_local}, at {seen + at}: {terms[at]}"
            )
        falls = np.diff(terms, prepend=last_term) <= 0
        falls &= np.diff(rows, prepend=last_row) == 0
        if falls.any():
            at = int(np.argmax(falls))
            raise IndexCorruptError(
                f"{kind.section}: must be strictly increasing, at {seen + at}: {terms[at]}"
            )
        seen, last_row, last_term = end, int(rows[-1]), int(terms[-1])
    if end != nnz:
        raise IndexCorruptError(f"doc_term_blocks: must have {nnz} bits set, has {end} or more")


def _rows_of(offsets: NDArray[Any], first: int, last: int) -> NDArray[np.int64]:
    """The row of each of the entries first..last-1, of which there is at least one."""
    begin, end = (np.searchsorted(offsets, (first, last - 1), side="right") - 1).tolist()
    inside = np.clip(offsets[begin : end + 2], first, last)
    return np.repeat(np.arange(begin, end + 1), np.diff(inside))
