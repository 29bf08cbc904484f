"""`LineFile`: any line of a text file by its number, in constant memory per line.

Training draws examples at random from files that may be larger than memory, and must draw the same ones again
after a restart. One pass notes where each line starts (8 bytes a line); a draw is one `pread`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import double
from splade_engine.collections.documents import FieldNames, id_and_text
from splade_engine.collections.json_array import json_array
from splade_engine.collections.metadata import is_missing
from splade_engine.collections.text_lines import COMPRESSED_SUFFIXES, plain_suffix, read_lines
from splade_engine.errors import DatasetError, reason_of
from splade_engine.files import (
    Digest,
    atomic_file,
    digest_64,
    digest_of_file,
    disk_errors,
    parsed_json,
    read_at,
)
from splade_engine.training.kept import keep, kept

_SCAN = 1 << 24  # bytes read at a time while looking for line ends
_LARGEST = float(np.finfo(np.float32).max)
_ARRAY = re.compile(r"\[\s*\{")
_LONGEST_BLANK = 32  # bytes of a line of white space; hardly any row of JSON is so short


class LineFile:
    """The non-blank lines of a UTF-8 file.

    A compressed file has no random access: it is unpacked once into `cache`. So is a `.json` file that holds
    an array of objects, each as a line, so that a place in it is the number of the object.

    Args:
        path: `.gz` and `.zst` are decompressed.
        cache: folder for unpacked copies, made when needed.

    Raises:
        DatasetError: if the file is missing, empty or damaged.
    """

    def __init__(self, path: str | Path, cache: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            other = "a folder, a pipe or a device, expected a file"
            raise DatasetError(f"{self.path}: {other if self.path.exists() else 'no such file'}")
        with disk_errors(self.path, "read"):
            self._file = _unpacked(self.path, cache)
            self._handle = _opened(self._file)
            self._stamp = self._stamped()
            # xxh3-128 of the (unpacked) bytes: what a resumed run compares
            self.starts, self.ends, self.digest = _line_bounds(self._file)
        if not len(self.starts):
            raise DatasetError(f"{self.path}: the file is empty")

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> bytes:
        """Line `i`, counted from 0 without blank lines, as bytes without its end.

        Raises:
            DatasetError: the file was written to since it was opened, so that its lines are elsewhere.
        """
        start = int(self.starts[i])
        line = read_at(self._handle, int(self.ends[i]) - start, start)
        if (stamp := self._stamped()) != self._stamp:  # after reading: what is returned is what was opened
            with disk_errors(self.path, "read"):
                same = digest_of_file(self._file) == self.digest
            if not same:
                raise DatasetError(
                    f"{self.path}: changed while it is in use, so its rows are no longer those that were "
                    "checked; restore it and go on, or start anew with the new content"
                )
            self._stamp = stamp  # only its date was
        return line

    def _stamped(self) -> tuple[int, int]:
        """What writing to the file changes; one that takes its place is another file, and nothing changes."""
        status = os.fstat(self._handle)
        return status.st_mtime_ns, status.st_size

    def place(self, i: int) -> str:
        """`file:line` of line `i` as an editor counts (blank lines included): for error messages."""
        number = 1
        left = int(self.starts[i])
        with self._file.open("rb") as file:
            while left:
                piece = file.read(min(left, _SCAN))
                number += piece.count(b"\n")
                left -= len(piece)
        return f"{self.path}:{number}"

    def record(self, i: int) -> dict[str, Any]:
        """Line `i` as a JSON object.

        Raises:
            DatasetError: naming file and line, if it is not one.
        """
        value = self.value(i)
        if not isinstance(value, dict):
            raise DatasetError(f"{self.place(i)}: expected a JSON object, got {type(value).__name__}")
        return value

    def value(self, i: int) -> Any:
        """Line `i` as JSON.

        Raises:
            DatasetError: naming file and line, if it is none.
        """
        try:
            return parsed_json(self[i])
        except (ValueError, RecursionError) as error:
            reason = reason_of(error)
            said = f"not JSON ({reason})" if isinstance(error, json.JSONDecodeError) else reason
            raise DatasetError(f"{self.place(i)}: {said}") from None

    def close(self) -> None:
        """Release the file; the object is unusable afterwards."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __getstate__(self) -> dict[str, Any]:
        """A copy, or another process, opens the file itself: a handle is one process's, and closed once."""
        return {name: value for name, value in vars(self).items() if name != "_handle"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open it; what was written to it in the meantime is noticed as it is here, at the first line."""
        vars(self).update(state)
        with disk_errors(self.path, "read"):
            self._handle = _opened(self._file)

    def __del__(self) -> None:
        if getattr(self, "_handle", -1) >= 0:
            self.close()


def _opened(file: Path) -> int:
    return os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _unpacked(path: Path, cache: Path) -> Path:
    """The file whose lines are read: it itself, or what it holds as lines."""
    # the first line tells of UTF-16, of compression, of lines that end in CR
    is_array = _is_array(path)
    if not is_array and path.suffix.lower() not in COMPRESSED_SUFFIXES:
        return path
    packed = digest_of_file(path)
    target = cache / f"{packed[:16]}.lines"
    if kept(target, packed):
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as out:
        lines = read_lines(path, keep_blank=True)  # so that lines keep their numbers
        if is_array:
            for _, value in json_array(lines, str(path)):
                out.write(json.dumps(value).encode() + b"\n")
        else:
            for _, line in lines:
                out.write(b"\n" if line.isspace() else line.encode("utf-8") + b"\n")
    keep(target, packed)
    return target


def _is_array(path: Path) -> bool:
    """Whether a file is one array of objects, as DPR's are; rows may be arrays too, but not of objects."""
    lines = (line.strip() for _, line in read_lines(path))
    head = next(lines, "")
    if head == "[":
        head += next(lines, "")
    return plain_suffix(path) == ".json" and bool(_ARRAY.match(head))


def _line_bounds(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Starts and ends, int64[n] each, of the lines that are not blank, and the digest of the whole file.

    An end is exclusive, without the line's own end.
    """
    total = Digest()
    ends: list[NDArray[np.int64]] = []
    offset, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(_SCAN):
            ends.append(np.flatnonzero(np.frombuffer(piece, np.uint8) == 10).astype(np.int64) + offset)
            offset += len(piece)
            last = piece[-1:]
            total.update(piece)
    if last != b"\n":
        ends.append(np.array([offset], np.int64))
    stop = np.concatenate(ends) if ends else np.zeros(0, np.int64)
    start = np.concatenate((np.zeros(1, np.int64), stop[:-1] + 1))[: len(stop)]
    keep = stop > start
    with path.open("rb") as file:
        for i in np.flatnonzero(keep & (stop - start <= _LONGEST_BLANK)):
            file.seek(int(start[i]))
            keep[i] = bool(file.read(int(stop[i] - start[i])).strip())
    return start[keep], stop[keep], total.text()


class TextsById:
    """Texts of a JSONL collection by id, 16 bytes of memory a row.

    Id, text and perhaps title may have the names that they may have in any corpus.

    Args:
        path: corpus or queries file in BEIR's layout, perhaps compressed.
        cache: folder for unpacked copies.
        titled: a title stands before the text; of queries it is left out, as evaluations do.

    Raises:
        DatasetError: naming file and line of a row without an id, or with one that another has.
    """

    def __init__(self, path: str | Path, cache: Path, *, titled: bool = True) -> None:
        self.lines = LineFile(path, cache)
        self._titled = titled
        hashes = np.empty(len(self.lines), np.uint64)
        for i in range(len(self.lines)):
            hashes[i] = key_of(self._id(i))
        FieldNames(str(path)).note(self.lines.record(0), 1)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        for at in np.flatnonzero(self._hashes[1:] == self._hashes[:-1]).tolist():
            rows = self._order[at], self._order[at + 1]
            earlier, later = (self._id(int(row)) for row in rows)
            if earlier == later:  # otherwise two ids with the same hash
                first = self.lines.place(int(rows[0])).rpartition(":")[2]
                raise DatasetError(
                    f"{self.lines.place(int(rows[1]))}: duplicate id {later!r}, first on line {first}"
                )

    def __len__(self) -> int:
        return len(self.lines)

    def _id(self, i: int) -> str:
        record = self.lines.record(i)
        value = record.get(_named(self.lines, record, i)[0])
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise DatasetError(f"{self.lines.place(i)}: the field _id (or id) is missing or not a string")
        return checked_text(str(value), self.lines.place, i, "_id")

    def row(self, text_id: str) -> int | None:
        """The row of an id, None if it is not there."""
        wanted = np.uint64(key_of(text_id))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self._id(int(self._order[at])) == text_id:
                return int(self._order[at])
            at += 1
        return None

    def text(self, row: int) -> str:
        """`title text` of a row, stripped; without `titled` the text alone."""
        record = self.lines.record(row)
        title = record.get("title") if self._titled else ""
        title = "" if is_missing(title) else title
        text = record.get(_named(self.lines, record, row)[1])
        if not isinstance(text, str) or not isinstance(title, str):
            raise DatasetError(f"{self.lines.place(row)}: the field text is missing or not a string")
        return checked_text(f"{title} {text}".strip(), self.lines.place, row, "text")

    def get(self, text_id: str, place: str, what: str) -> str:
        """The text of an id.

        Raises:
            DatasetError: `<place>: <what> '<id>' is not in <file>`.
        """
        row = self.row(text_id)
        if row is None:
            raise DatasetError(f"{place}: {what} {text_id!r} is not in {self.lines.path}")
        return self.text(row)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(id, text) in the order of the file."""
        for i in range(len(self)):
            yield self._id(i), self.text(i)


def _named(lines: LineFile, record: Mapping[str, Any], i: int) -> tuple[str, str]:
    """The fields of row `i` that hold id and text."""
    try:
        return id_and_text(record, "")
    except DatasetError as error:  # finding the line number reads the file: only when it is needed
        raise DatasetError(f"{lines.place(i)}{error}") from None


def checked_text(text: str, place: Callable[[int], str], row: int, name: str) -> str:
    """The text, if it can be encoded; `place` says where row `row` stands.

    Raises:
        DatasetError: for half a surrogate pair, which JSON can hold and no tokenizer takes.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DatasetError(f"{place(row)}: the field {name} holds half a surrogate pair, not text") from None
    return text


SCORE_LIMIT = " of at most 3.4e38, which is what training can compute with"


def is_score(value: object) -> TypeGuard[int | float]:
    """Whether a value of a row is a number that a batch can hold, finite in 32 bits; no True or False."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(double(value)) <= _LARGEST


def key_of(text: str) -> int:
    """64 bits of an id's digest."""
    return digest_64(text.encode("utf-8", "surrogatepass"))  # an id to look up may be anything
