"""Standard input as a corpus: `-`. It is copied to a temporary file, because a corpus is read twice."""

from __future__ import annotations

import io
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.documents import Document
from splade_engine.collections.formats import CSV, JSON, JSONL, TSV
from splade_engine.collections.limits import Limits
from splade_engine.collections.separated import SEPARATORS, says_separator, separator
from splade_engine.collections.spool import FromTheStart, unnamed_file
from splade_engine.collections.text_lines import decoded_lines
from splade_engine.errors import DatasetError
from splade_engine.files import disk_errors

PLACE = "<standard input>"
_NAMES = ("-", "/dev/stdin")
_BLOCK = 1 << 20
_UNPACK = "compressed; unpack it before the pipe: "
# how what is no text begins, and what to do
_NO_LINES = (
    (b"\x1f\x8b", f"{_UNPACK}zcat FILE | ..."),
    (b"\x28\xb5\x2f\xfd", f"{_UNPACK}zstdcat FILE | ..."),
    (b"PAR1", "Parquet is read from a file only"),
    (b"ARROW1", "Arrow is read from a file only"),
    (b"%PDF", "a PDF is read from a file only"),
    (b"PK\x03\x04", "an archive or office document is read from a file only"),
)


def is_standard_input(source: object) -> bool:
    """Whether a source stands for standard input."""
    return isinstance(source, str | Path) and str(source) in _NAMES


class StandardInput:
    """What was piped in.

    It is JSONL where it begins with a brace, JSON where with a bracket, CSV where the first line is a header
    with commas or semicolons that names id and text, TSV otherwise.

    The temporary file has no name, so that nothing is left where the process is killed.
    """

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self._stream = stream
        self._copy: IO[bytes] | None = None
        self._copying = threading.Lock()  # two threads would each get half of it

    def __reduce__(self) -> NoReturn:
        """What was piped in is this process's.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(
            f"{PLACE}: a corpus that was piped in cannot be copied or pickled; write it to a file"
        )

    def numbered(
        self, types: ColumnTypes, *, encoding: str | None = None, advice: str = ""
    ) -> Iterator[tuple[int, Document]]:
        """(line, document), from the beginning each time; lines that are not UTF-8 as of `decoded_lines`.

        Raises:
            DatasetError: naming the line that cannot be read.
            StorageError: the disk refuses the copy.
        """
        with self._copying:
            if self._copy is None:
                self._copy = self._copied()
        copy = self._copy
        first = _stream(copy).peek(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
        for mark, what in _NO_LINES:
            if first.startswith(mark):
                raise DatasetError(f"{PLACE}: {what}")
        kind, line = TSV, first.partition(b"\n")[0].decode("utf-8", "replace")
        if first.startswith(b"{"):
            kind = JSONL
        elif first.startswith(b"["):
            kind = JSON
        elif says_separator(line) or separator(line) in SEPARATORS:
            kind = CSV
        lines = partial(decoded_lines, keep_blank=kind.keeps_blank, encoding=encoding, advice=advice)
        yield from kind.documents(lambda: lines(_stream(copy), PLACE), PLACE, types)

    def _copied(self) -> IO[bytes]:
        stream = self._stream or getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise DatasetError(f"{PLACE}: is closed")
        with disk_errors(tempfile.gettempdir()):
            copy = unnamed_file(self)
            _copy_lines(stream, copy)
            copy.flush()  # readers go to the disk, past what Python holds back
        return copy


def _stream(copy: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(FromTheStart(copy), _BLOCK)


def _copy_lines(stream: IO[bytes], copy: IO[bytes]) -> None:
    limits = Limits.of_environment()
    since_newline = 0
    while block := stream.read(_BLOCK):
        copy.write(block)
        end = block.rfind(b"\n")
        since_newline = since_newline + len(block) if end < 0 else len(block) - end - 1
        if since_newline > limits.document_bytes:  # a device, or no text: do not copy it for ever
            raise DatasetError(
                f"{PLACE}: a line of more than {limits.document_bytes:,} bytes "
                f"({limits.hint('document_bytes')})"
            )
