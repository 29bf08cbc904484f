"""The Common Index File Format: protocol buffers, each after its length, written and read without a library.

    Header  1 version  2 num_postings_lists  3 num_docs  4 total_postings_lists  5 total_docs
            6 total_terms_in_collection  7 average_doclength (double)  8 description
    PostingsList, by term  1 term  2 df  3 cf  4 postings: 1 docid, as the gap to the one before  2 tf
    DocRecord  1 docid  2 collection_docid  3 doclength

Lin et al., SIGIR 2020; osirrc/ciff. A number is a varint: seven bits a byte, the lowest first.

The format has no place for a checksum. Ours ends the description: of all messages, with zeros in its place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.files import Digest
from splade_engine.vectors import SparseVectors

MOST_MESSAGE = 1 << 31  # bytes of a posting list that can be meant
_CHECKSUM = re.compile(rb", checksum ([0-9a-f]{32})$")  # whatever else of the header is damaged
_NO_CHECKSUM_YET = ", checksum " + "0" * 32


@dataclass(frozen=True)
class CiffHeader:
    """What a file says of itself."""

    n_lists: int
    n_docs: int
    total_terms: int
    # without our checksum
    description: str
    checked: bool = False


def varint(number: int) -> bytes:
    """A whole number from 0 to 2^64 - 1."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a message; what is 0 or empty is left out, as proto3 does."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


class _Messages:
    """Writes messages one after the other, and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, Digest()

    def write(self, content: bytes) -> None:
        for part in (varint(len(content)), content):
            self.digest.update(part)
            self.file.write(part)


def write_ciff(
    path: Path,
    vectors: SparseVectors,
    impacts: NDArray[np.int64],
    ids: list[str],
    names: list[str],
    about: str,
) -> None:
    """Write a file.

    Args:
        path: of the file.
        vectors: one row per document; their weights are not looked at.
        impacts: int64[nnz], the whole number of each entry; entries of 0 are left out.
        ids: of the documents.
        names: of the terms.
        about: a description.
    """
    there = impacts > 0
    docs = np.repeat(np.arange(len(vectors)), vectors.row_nnz)[there]
    terms, numbers = vectors.terms[there], impacts[there]
    lengths = np.bincount(docs, weights=numbers, minlength=len(vectors)).astype(np.int64)
    order = np.argsort(terms, kind="stable")
    docs, numbers = docs[order], numbers[order]
    found, starts = np.unique(terms[order], return_index=True)
    ends = [*starts.tolist(), len(order)][1:]  # none where no entry is left
    lists = sorted(zip(found.tolist(), starts.tolist(), ends, strict=True), key=lambda part: names[part[0]])
    total = int(lengths.sum())
    with path.open("wb") as file:
        messages = _Messages(file)
        mean = struct.pack("<d", total / max(1, len(ids)))
        header = [_field(1, 1), _field(2, len(lists)), _field(3, len(ids)), _field(4, len(lists))]
        header += [
            _field(5, len(ids)),
            _field(6, total),
            varint(7 << 3 | 1) + mean,
            _field(
                8, f"{about}{_NO_CHECKSUM_YET}".encode()
            ),  # the last field: it is filled in where it stands
        ]
        messages.write(b"".join(header))
        end = file.tell()
        for term, start, stop in lists:
            gaps = np.diff(docs[start:stop], prepend=0).tolist()
            counts = numbers[start:stop].tolist()
            postings = [_field(1, gap) + _field(2, count) for gap, count in zip(gaps, counts, strict=True)]
            body = b"".join(varint(4 << 3 | 2) + varint(len(p)) + p for p in postings)
            head = _field(1, names[term].encode()) + _field(2, stop - start) + _field(3, sum(counts))
            messages.write(head + body)
        for number, (id, length) in enumerate(zip(ids, lengths.tolist(), strict=True)):
            messages.write(_field(1, number) + _field(2, id.encode()) + _field(3, length))
        file.seek(end - 32)
        file.write(messages.digest.text().encode())


# ---- reading --------------------------------------------------------------------------------------------


def read_ciff(path: Path, file: IO[bytes]) -> tuple[list[dict[str, int]], list[str], CiffHeader]:
    """The documents of a file, {term: number} each, their ids, and its header.

    Raises:
        InvalidInputError: the file is damaged or cut short, naming the message.
    """
    found, digest = _messages(path, file), Digest()
    with _reading(path, "its header"):
        first = next(found, b"")
        header = _header(path, _fields(first))
    noted = _CHECKSUM.search(first)
    messages = found if noted is None else _hashed(found, digest)
    if noted is not None:
        digest.update(varint(len(first)) + first[:-32] + b"0" * 32)
        description = header.description.removesuffix(noted[0].decode())
        header = replace(header, description=description, checked=True)
    rows: list[dict[str, int]] = [{} for _ in range(header.n_docs)]
    for number in range(header.n_lists):
        with _reading(path, f"posting list {number}"):
            _take_list(rows, _fields(next(messages, b"")))
    ids = [""] * header.n_docs
    for number in range(header.n_docs):
        with _reading(path, f"document {number}"):
            fields = _fields(next(messages, b""))
            place, id = _number(fields, 1), _text(fields, 2)
            if ids[place] or not id:
                raise ValueError
            ids[place] = id
    if next(messages, None) is not None:
        raise InvalidInputError(f"{path}: goes on after its last document")
    if noted is not None and digest.text() != noted[1].decode():
        raise InvalidInputError(f"{path}: damaged: it does not match its checksum")
    return rows, ids, header


def _hashed(messages: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    for content in messages:
        digest.update(varint(len(content)))
        digest.update(content)
        yield content


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Say which message is damaged, or missing: an empty one has nothing that it needs."""
    try:
        yield
    except InvalidInputError:
        raise
    except (IndexError, ValueError, TypeError):
        raise InvalidInputError(f"{path}: {what} is damaged or missing") from None


def _header(path: Path, fields: dict[int, list[int | bytes]]) -> CiffHeader:
    if _number(fields, 1) != 1:
        raise InvalidInputError(f"{path}: not a CIFF file of version 1")
    n_lists, n_docs = _number(fields, 2), _number(fields, 3)
    size = path.stat().st_size
    # a list takes four bytes at least, a document three; gzip makes of a byte a thousand at most
    if n_docs > size * 1000 or n_lists > size * 1000:
        raise InvalidInputError(f"{path}: its header counts {n_docs} documents in {size} bytes")
    return CiffHeader(n_lists, n_docs, _number(fields, 6), _text(fields, 8))


def _take_list(rows: list[dict[str, int]], fields: dict[int, list[int | bytes]]) -> None:
    term, doc = _text(fields, 1), 0
    postings = fields.get(4, [])
    if len(postings) != _number(fields, 2) or not term:
        raise ValueError
    for number, posting in enumerate(postings):
        if not isinstance(posting, bytes):
            raise ValueError
        entry = _fields(posting)
        gap = _number(entry, 1)
        doc += gap
        if (number and not gap) or term in rows[doc]:
            raise ValueError
        rows[doc][term] = _number(entry, 2)


def _messages(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    while True:
        length = shift = 0
        while True:
            byte = file.read(1)
            if not byte:
                if shift:
                    raise InvalidInputError(f"{path}: is cut short")
                return
            length |= (byte[0] & 127) << shift
            shift += 7
            if byte[0] < 128:
                break
            if shift > 35:
                raise InvalidInputError(f"{path}: not a CIFF file")
        if length > MOST_MESSAGE:
            raise InvalidInputError(f"{path}: a message of {length} bytes")
        content = file.read(length)
        if len(content) < length:
            raise InvalidInputError(f"{path}: is cut short")
        yield content


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Field number -> its values in order; raises IndexError or ValueError where it is damaged."""
    found: dict[int, list[int | bytes]] = {}
    at, end = 0, len(message)
    while at < end:
        key, at = _read_varint(message, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _read_varint(message, at)
        elif kind in (1, 2, 5):
            length = 8 if kind == 1 else 4
            if kind == 2:
                length, at = _read_varint(message, at)
            if at + length > end:
                raise ValueError
            value, at = message[at : at + length], at + length
        else:
            raise ValueError
        found.setdefault(key >> 3, []).append(value)
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError


def _number(fields: dict[int, list[int | bytes]], number: int) -> int:
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise ValueError
    return value


def _text(fields: dict[int, list[int | bytes]], number: int) -> str:
    value = fields.get(number, [b""])[-1]
    if not isinstance(value, bytes):
        raise ValueError
    return value.decode()
