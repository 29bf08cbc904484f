"""Document ids of a segment: UTF-8 bytes one after another, and a sorted hash column to find an id by.

`hash_ids` is a 64-bit hash over 8-byte words, computed for a whole column at once in numpy. Equal hashes are
told apart by their bytes, so collisions cost time, never truth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError, InvalidInputError, reason_of

MAX_ID_BYTES = 4096
ID_ARRAYS = {"offsets": "<i8", "bytes": "|u1", "sorted_hash": "<u8", "sorted_ordinal": "<u4"}
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_FINAL = np.uint64(0xBF58476D1CE4E5B9)
_CHUNK = 1 << 18  # ids hashed at a time

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]


def hash_ids(offsets: Offsets, data: Bytes) -> NDArray[np.uint64]:
    """The hash of every id, uint64[n].

    h = length; for each 8 bytes as a little-endian word, zero-padded: h = mix((h ^ word) * FACTOR).

    The loop runs over word positions, each step over the ids that reach that far.
    """
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for a in range(0, len(hashes), _CHUNK):
        b = min(a + _CHUNK, len(hashes))
        first, last = int(offsets[a]), int(offsets[b])
        hashes[a:b] = _hash_chunk(offsets[a : b + 1] - first, data[first:last])
    return hashes


def _hash_chunk(offsets: Offsets, data: Bytes) -> NDArray[np.uint64]:
    lengths = np.diff(offsets)
    padded = np.zeros(len(data) + 8, np.uint8)
    padded[: len(data)] = data
    words = np.lib.stride_tricks.sliding_window_view(padded, 8)
    h = lengths.astype(np.uint64)
    active = np.flatnonzero(lengths > 0)
    for position in range(0, int(lengths.max(initial=0)), 8):
        active = active[lengths[active] > position]
        left = np.minimum(lengths[active] - position, 8)
        word = words[offsets[active] + position].copy().view("<u8").ravel()
        # the bytes behind the end of the id belong to its neighbour: cleared
        word &= np.uint64(0xFFFFFFFFFFFFFFFF) >> ((8 - left) * 8).astype(np.uint64)
        mixed = (h[active] ^ word) * _FACTOR
        mixed ^= mixed >> np.uint64(32)
        h[active] = mixed
    h *= _FINAL
    return h ^ (h >> np.uint64(29))


def encode_ids(ids: Sequence[str], first_row: int = 0) -> tuple[Offsets, Bytes]:
    """Offsets and bytes of a list of ids; messages count documents from `first_row`.

    Raises:
        InvalidInputError: naming the row of an id that is not a string, is empty, too long, holds NUL or
            cannot be written as UTF-8.
    """
    try:
        strings = all(issubclass(kind, str) for kind in set(map(type, ids)))
        column = pa.array(list(ids), type=pa.large_string()) if strings else None
    except (pa.ArrowException, UnicodeError, TypeError, OverflowError):
        column = None
    if column is None or column.null_count:
        for row, value in enumerate(ids):
            _check_id(first_row + row, value)
        raise InvalidInputError("ids: a value that cannot be stored as text")
    offsets, data = text_buffers(column)
    lengths = np.diff(offsets)
    bad = (lengths < 1) | (lengths > MAX_ID_BYTES)
    if len(data) and not data.all():
        nul = int(np.argmin(data != 0))
        bad[int(np.searchsorted(offsets, nul, side="right")) - 1] = True
    if bad.any():
        row = int(np.argmax(bad))
        _check_id(first_row + row, ids[row])
    return offsets, data


def encode_sought(ids: Sequence[str]) -> tuple[NDArray[np.int64], Offsets, Bytes]:
    """The places of those ids that a document can have, and these encoded: the others need not be looked for.

    Raises:
        InvalidInputError: an id that is not a string.
    """
    try:
        return np.arange(len(ids)), *encode_ids(ids)
    except InvalidInputError:
        if not all(isinstance(id, str) for id in ids):
            raise
    places = [place for place, id in enumerate(ids) if _can_be_stored(id)]
    return np.array(places, np.int64), *encode_ids([ids[place] for place in places])


def text_buffers(column: pa.Array) -> tuple[Offsets, Bytes]:
    """The offsets, from 0, and the bytes of an Arrow array of large strings without nulls."""
    _, offsets, data = column.buffers()
    if len(column) == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    start = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return start - start[0], content[int(start[0]) : int(start[-1])]


def _check_id(row: int, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"document {row}: id {value!r} is not a string")
    if not value:
        raise InvalidInputError(f"document {row}: the id is empty")
    if "\0" in value:
        raise InvalidInputError(f"document {row}: id {ascii(value)[:60]} holds a NUL character")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInputError(f"document {row}: id {ascii(value)[:60]} holds a lone surrogate") from None
    if size > MAX_ID_BYTES:
        raise InvalidInputError(f"document {row}: an id of {size} bytes, at most {MAX_ID_BYTES} are allowed")


def _can_be_stored(id: str) -> bool:
    try:
        _check_id(0, id)
    except InvalidInputError:
        return False
    return True


def decimal_ids(first: int, count: int) -> list[str]:
    """The default ids: the ordinals as text."""
    return [str(i) for i in range(first, first + count)]


def free_ids(first: int, count: int, find: Callable[[Sequence[str]], NDArray[np.int64]]) -> list[str]:
    """Default ids that no document has: numbers from `first` on, without those that are taken.

    Args:
        first: the number of the first document, which `compact` may have given to another before.
        count: of documents.
        find: where each id lies, negative where it is nowhere.
    """

    def is_free(ahead: int) -> bool:
        return int(find([str(first + ahead)])[0]) < 0

    ahead = 1
    while not is_free(ahead - 1):  # most often a long row is taken: its end is found without asking for each
        ahead *= 2
    first += bisect_left(range(ahead), True, key=is_free)
    ids: list[str] = []
    while len(ids) < count:
        tried = decimal_ids(first, count - len(ids))
        ids += [tried[i] for i in np.flatnonzero(find(tried) < 0).tolist()]
        first += len(tried)
    return ids


class IdColumn:
    """The ids of one segment, by ordinal and back.

    Args:
        arrays: the sections named in ID_ARRAYS.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.offsets = arrays["offsets"]
        self.bytes = arrays["bytes"]
        self.sorted_hash = arrays["sorted_hash"]
        self.sorted_ordinal = arrays["sorted_ordinal"]

    @classmethod
    def build(cls, ids: Sequence[str], first_row: int = 0) -> IdColumn:
        """Encode and sort ids; refuses a duplicate, naming both rows (counted from `first_row`)."""
        column = cls.from_encoded(*encode_ids(ids, first_row))
        twice = column.duplicate()
        if twice is not None:
            a, b = twice
            raise InvalidInputError(
                f"document {first_row + b}: id {ids[b]!r} is also the id of document {first_row + a}"
            )
        return column

    @classmethod
    def from_encoded(cls, offsets: Offsets, data: Bytes) -> IdColumn:
        """Sort ids that are encoded, valid and known to differ."""
        hashes = hash_ids(offsets, data)
        order = np.argsort(hashes, kind="stable")
        sorted_ordinal = order.astype(np.uint32)
        return cls(
            {
                "offsets": offsets,
                "bytes": data,
                "sorted_hash": hashes[order],
                "sorted_ordinal": sorted_ordinal,
            }
        )

    def hashes(self) -> NDArray[np.uint64]:
        """uint64[n]: the hash of each id, by ordinal."""
        by_ordinal = np.empty(len(self), np.uint64)
        by_ordinal[self.sorted_ordinal] = self.sorted_hash
        return by_ordinal

    def select(self, ordinals: NDArray[np.int64]) -> tuple[Offsets, Bytes]:
        """The encoded ids of these ordinals."""
        starts = self.offsets[ordinals]
        lengths = self.offsets[ordinals + 1] - starts
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return offsets, self.bytes[places]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sections in file order."""
        return {name: getattr(self, name) for name in ID_ARRAYS}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def raw(self, ordinal: int) -> bytes:
        """The UTF-8 bytes of one id."""
        return self.bytes[int(self.offsets[ordinal]) : int(self.offsets[ordinal + 1])].tobytes()

    def take(self, ordinals: NDArray[np.int64]) -> list[str]:
        """The ids of these ordinals."""
        starts, ends = self.offsets[ordinals].tolist(), self.offsets[ordinals + 1].tolist()
        data = self.bytes.data
        return [str(data[a:b], "utf-8") for a, b in zip(starts, ends, strict=True)]

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """int64[len(ids)]: the ordinal of each id, -1 where the segment does not hold it."""
        places, offsets, data = encode_sought(ids)
        found = np.full(len(ids), -1, np.int64)
        found[places] = self.find_encoded(offsets, data, hash_ids(offsets, data))
        return found

    def find_encoded(self, offsets: Offsets, data: Bytes, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """As `find`, for ids that are encoded and hashed already."""
        found = np.full(len(hashes), -1, np.int64)
        place = np.searchsorted(self.sorted_hash, hashes)
        hit = np.flatnonzero(place < len(self.sorted_hash))
        hit = hit[self.sorted_hash[place[hit]] == hashes[hit]]
        for i in hit.tolist():
            wanted = data[int(offsets[i]) : int(offsets[i + 1])].tobytes()
            at = int(place[i])
            while at < len(self.sorted_hash) and self.sorted_hash[at] == hashes[i]:
                ordinal = int(self.sorted_ordinal[at])
                if self.raw(ordinal) == wanted:
                    found[i] = ordinal
                    break
                at += 1
        return found

    def duplicate(self) -> tuple[int, int] | None:
        """Two ordinals with the same id, or None. Relies on the hash column, which `check` verifies."""
        same = np.flatnonzero(self.sorted_hash[1:] == self.sorted_hash[:-1])
        seen: dict[tuple[int, bytes], int] = {}
        for at in np.union1d(same, same + 1).tolist():
            ordinal = int(self.sorted_ordinal[at])
            key = (int(self.sorted_hash[at]), self.raw(ordinal))
            if key in seen:
                return min(seen[key], ordinal), max(seen[key], ordinal)
            seen[key] = ordinal
        return None

    def check(self, n_docs: int) -> None:
        """Every rule of the format; raises IndexCorruptError naming the rule that does not hold."""
        self.check_offsets(n_docs)
        if not self.bytes.all():
            raise IndexCorruptError("ids: a NUL character")
        column = pa.Array.from_buffers(
            pa.large_string(), n_docs, [None, pa.py_buffer(self.offsets), pa.py_buffer(self.bytes)]
        )
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise IndexCorruptError(f"ids: not UTF-8 ({reason_of(error)})") from None
        order = self.sorted_ordinal
        if n_docs and int(order.max()) >= n_docs:
            raise IndexCorruptError(f"ids: ordinal {int(order.max())} of a segment of {n_docs} documents")
        if not np.array_equal(hash_ids(self.offsets, self.bytes)[order], self.sorted_hash):
            raise IndexCorruptError("ids: the hash column does not belong to these ids")
        if (self.sorted_hash[1:] < self.sorted_hash[:-1]).any():
            raise IndexCorruptError("ids: the hash column is not sorted")
        if not np.array_equal(np.bincount(order, minlength=n_docs), np.ones(n_docs, np.int64)):
            raise IndexCorruptError("ids: the hash column does not hold every document once")
        twice = self.duplicate()
        if twice is not None:
            raise IndexCorruptError(f"ids: documents {twice[0]} and {twice[1]} have the same id")

    def check_offsets(self, n_docs: int) -> None:
        """Lengths and offsets: what reading an id relies on."""
        if (
            len(self.offsets) != n_docs + 1
            or len(self.sorted_hash) != n_docs
            or len(self.sorted_ordinal) != n_docs
        ):
            raise IndexCorruptError(f"ids: not {n_docs} of them")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.bytes):
            raise IndexCorruptError("ids: the offsets do not cover the bytes")
        lengths = np.diff(self.offsets)
        if n_docs and not 1 <= int(lengths.min()) <= int(lengths.max()) <= MAX_ID_BYTES:
            raise IndexCorruptError(f"ids: an id of {int(lengths.min())} or {int(lengths.max())} bytes")
