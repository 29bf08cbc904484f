"""The arrays of a segment, and the rules that make every kernel safe on them.

A segment of n documents knows T distinct terms, numbered 0..T-1 in the order of their ids (`term_ids`), and
stores each entry twice:

- by document (the rows), with the weight that "exact" is exact over: row d is entries `doc_offsets[d]` to
  `doc_offsets[d + 1]` of `doc_terms_*` and `doc_weights_*`. Where term numbers are split, `doc_term_lows_*`
  takes the place of `doc_terms_*`, and `doc_term_blocks` holds the upper bits (`kernels/split.py`); 8-bit
  weights are codes, weight = code * doc_scales[d];
- by term (the inverted lists), with the weight rounded up to 8 bits, code * list_scales[t]: an upper bound.
  A list is cut at every WINDOW documents, so that a document fits 16 bits and the scores of a window stay
  in cache: the entries of term t in window w are `list_offsets[t * n_windows + w]` to the next offset,
  heaviest first, so that a search may stop where they no longer matter. `list_levels[t * N_LEVELS + i]` is
  the code of the entry of rank 64 << i of the whole list (0 beyond its end): how many entries a threshold
  leaves can be told without reading them.

Of the arrays for terms, and of those for weights, all but one are empty (`row_kinds.py`). No kernel
checks bounds; `check_structure` checks every property that one relies on, before any runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.segment.row_kinds import (
    LARGEST_SCALE,
    SCALE_BITS,
    SMALLEST_SCALE,
    TERM_KINDS,
    UINT8,
    WEIGHT_KINDS,
    Arrays,
    TermKind,
    stored_terms,
    stored_weights,
)

WINDOW = 65536  # documents whose number fits 16 bits
N_LEVELS = 16  # the last is rank 2,097,152
_WORDS = 1 << 14  # of 64 bits, checked at a time: some 1 M entries of 50 bytes
_CHUNK = 1 << 22  # entries checked at a time: a check takes tens of MiB, however large the array


@dataclass(frozen=True)
class ArraySpec:
    """One kind of array: its name and little-endian numpy dtype. Always one-dimensional.

    `optional` ones are not in the file of a segment that does not use them; read, they are empty.
    """

    name: str
    dtype: str
    optional: bool = False


SEGMENT_ARRAYS: tuple[ArraySpec, ...] = (
    ArraySpec("term_ids", "<u4"),
    ArraySpec("doc_offsets", "<i8"),
    ArraySpec("doc_terms_16", "<u2"),
    ArraySpec("doc_terms_32", "<u4"),
    ArraySpec("doc_weights_16", "<f2"),
    ArraySpec("doc_weights_32", "<f4"),
    ArraySpec("list_offsets", "<i8"),
    ArraySpec("list_scales", "<f4"),
    ArraySpec("list_levels", "|u1"),
    ArraySpec("list_docs", "<u2"),
    ArraySpec("list_codes", "|u1"),
    ArraySpec("doc_weights_8", "|u1", optional=True),
    ArraySpec("doc_scales", "<f4", optional=True),
    ArraySpec("doc_term_lows_8", "|u1", optional=True),
    ArraySpec("doc_term_lows_16", "<u2", optional=True),
    ArraySpec("doc_term_blocks", "<u8", optional=True),
)


def n_windows(n_docs: int) -> int:
    """Number of windows that `n_docs` documents take."""
    return -(-n_docs // WINDOW)


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
    _check_lists(arrays, n_docs, nnz)


def _check_terms(ids: NDArray[Any], n_terms: int) -> None:
    if len(ids) == 0:
        return
    _check_each("term_ids", ids, lambda part: part < n_terms, f"must be below {n_terms}")
    falls = ids[1:] <= ids[:-1]
    if falls.any():
        at = int(np.argmax(falls)) + 1
        raise IndexCorruptError(f"term_ids: must be strictly increasing, at {at}: {ids[at]}")


def _check_length(name: str, array: NDArray[Any], length: int) -> None:
    if len(array) != length:
        raise IndexCorruptError(f"{name}: must hold {length} entries, holds {len(array)}")


def _check_offsets(name: str, offsets: NDArray[Any], length: int, end: int) -> None:
    _check_length(name, offsets, length)
    if offsets[0] != 0:
        raise IndexCorruptError(f"{name}: must start with 0, at 0: {offsets[0]}")
    if offsets[-1] != end:
        raise IndexCorruptError(f"{name}: must end with {end}, at {length - 1}: {offsets[-1]}")
    for a in range(0, length - 1, _CHUNK):
        part = offsets[a : a + _CHUNK + 1]
        falls = part[1:] < part[:-1]
        if falls.any():
            at = a + int(np.argmax(falls)) + 1
            raise IndexCorruptError(f"{name}: must not decrease, at {at}: {offsets[at]}")


def _check_each(name: str, array: NDArray[Any], good: Any, rule: str) -> None:
    for a in range(0, len(array), _CHUNK):
        ok = good(array[a : a + _CHUNK])
        if not ok.all():
            at = a + int(np.argmin(ok))
            raise IndexCorruptError(f"{name}: {rule}, at {at}: {array[at]}")


def _check_ascending(name: str, values: NDArray[Any], starts: NDArray[Any]) -> None:
    """Values must strictly increase except where a new row starts."""
    for a in range(0, len(values) - 1, _CHUNK):
        part = values[a : a + _CHUNK + 1]
        falls = np.flatnonzero(part[1:] <= part[:-1]) + (a + 1)
        if len(falls):
            row = np.searchsorted(starts, falls, side="left")
            inside = falls[starts[np.minimum(row, len(starts) - 1)] != falls]
            if len(inside):
                at = int(inside[0])
                raise IndexCorruptError(f"{name}: must be strictly increasing, at {at}: {values[at]}")


def _only(arrays: Arrays, used: str, names: list[str], nnz: int) -> NDArray[Any]:
    """The array in use, which must hold all entries, while the others of its kind hold none."""
    _check_length(used, arrays[used], nnz)
    for name in names:
        if name != used and len(arrays[name]):
            raise IndexCorruptError(
                f"{name}: must be empty because {used} is not, holds {len(arrays[name])} entries"
            )
    return arrays[used]


def _check_forward(arrays: Arrays, n_docs: int, nnz: int) -> None:
    offsets = arrays["doc_offsets"]
    _check_offsets("doc_offsets", offsets, n_docs + 1, nnz)
    _check_row_terms(arrays, n_docs, nnz)
    kind = stored_weights(arrays)
    weights = _only(arrays, kind.section, [k.section for k in WEIGHT_KINDS], nnz)
    _check_each(
        kind.section, weights, lambda part: (part > 0) & np.isfinite(part), "must be finite and above 0"
    )
    _check_length("doc_scales", arrays["doc_scales"], n_docs if kind == UINT8 else 0)
    _check_each("doc_scales", arrays["doc_scales"], _is_scale, "must be 2^-120 to 2^120 in 16 bits")


def _is_scale(part: NDArray[Any]) -> NDArray[Any]:
    bits = part.view("<u4")
    good: NDArray[Any] = (part >= SMALLEST_SCALE) & (part <= LARGEST_SCALE) & (bits & ~SCALE_BITS == 0)
    return good


def _check_row_terms(arrays: Arrays, n_docs: int, nnz: int) -> None:
    n_local, offsets, kind = len(arrays["term_ids"]), arrays["doc_offsets"], stored_terms(arrays)
    terms = _only(arrays, kind.section, [k.section for k in TERM_KINDS], nnz)
    blocks, n_blocks = arrays["doc_term_blocks"], kind.n_blocks(n_local)
    if not kind.low_bits:
        _check_length("doc_term_blocks", blocks, 0)
        _check_each(kind.section, terms, lambda part: part < n_local, f"must be below {n_local}")
        _check_ascending(kind.section, terms, offsets)
        return
    _check_length("doc_term_blocks", blocks, -(-(nnz + n_docs * n_blocks) // 64))
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


def _check_lists(arrays: Arrays, n_docs: int, nnz: int) -> None:
    n_local, windows = len(arrays["term_ids"]), n_windows(n_docs)
    offsets, docs, scales = arrays["list_offsets"], arrays["list_docs"], arrays["list_scales"]
    _check_length("list_docs", docs, nnz)
    _check_length("list_codes", arrays["list_codes"], nnz)
    _check_offsets("list_offsets", offsets, n_local * windows + 1, nnz)
    _check_length("list_scales", scales, n_local)
    _check_each(
        "list_scales", scales, lambda part: (part > 0) & np.isfinite(part), "must be finite and above 0"
    )
    _check_length("list_levels", arrays["list_levels"], n_local * N_LEVELS)
    _check_falling("list_codes", arrays["list_codes"], offsets)
    last = (
        n_docs - (windows - 1) * WINDOW
    )  # documents in the last window: only there can a number be too large
    if windows == 1:
        _check_each("list_docs", docs, lambda part: part < last, f"must be below {last} in the last window")
    elif windows and last < WINDOW:
        _check_last_window(docs, offsets, windows, last)


def _check_falling(name: str, values: NDArray[Any], starts: NDArray[Any]) -> None:
    """Values must not increase except where a new list starts."""
    for a in range(0, len(values) - 1, _CHUNK):
        part = values[a : a + _CHUNK + 1]
        rises = np.flatnonzero(part[1:] > part[:-1]) + (a + 1)
        row = np.searchsorted(starts, rises, side="left")
        inside = rises[starts[np.minimum(row, len(starts) - 1)] != rises]
        if len(inside):
            at = int(inside[0])
            raise IndexCorruptError(f"{name}: must not increase within a list, at {at}: {values[at]}")


def _check_last_window(docs: NDArray[Any], offsets: NDArray[Any], windows: int, last: int) -> None:
    starts, ends = offsets[windows - 1 : -1 : windows], offsets[windows::windows]
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(ends - starts)))
    first = 0
    while first < len(starts):
        # as many lists as hold some 1 M entries: each takes 24 bytes while its place is worked out
        stop = int(np.searchsorted(before, before[first] + (_CHUNK >> 2), side="right")) - 1
        part = slice(first, max(stop, first + 1))
        base = before[part] - before[first]
        entries = np.repeat(starts[part] - base, ends[part] - starts[part])
        entries += np.arange(len(entries))
        large = docs[entries] >= last
        if large.any():
            at = int(entries[int(np.argmax(large))])
            raise IndexCorruptError(
                f"list_docs: must be below {last} in the last window, at {at}: {docs[at]}"
            )
        first = part.stop
