"""Standard input as a corpus: `-`. It is copied to a temporary file, because a corpus is read twice."""

from __future__ import annotations

import io
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from splade_engine.collections.documents import Document
from splade_engine.collections.formats import jsonl, tsv
from splade_engine.collections.limits import Limits
from splade_engine.collections.text_lines import decoded_lines
from splade_engine.errors import DatasetError
from splade_engine.files import disk_errors

PLACE = "<standard input>"
_NAMES = ("-", "/dev/stdin")
_BLOCK = 1 << 20


def is_standard_input(source: object) -> bool:
    """Whether a source stands for standard input."""
    return isinstance(source, str | Path) and str(source) in _NAMES


class StandardInput:
    """What was piped in: JSONL where the first line begins with a brace, TSV otherwise.

    The temporary file has no name, so that nothing is left where the process is killed.
    """

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self._stream = stream
        self._copy: IO[bytes] | None = None

    def numbered(self) -> Iterator[tuple[int, Document]]:
        """(line, document), from the beginning each time.

        Raises:
            DatasetError: naming the line that cannot be read.
            StorageError: the disk refuses the copy.
        """
        if self._copy is None:
            self._copy = self._copied()
        stream = io.BufferedReader(_FromTheStart(self._copy), _BLOCK)
        first = stream.peek(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
        reader = jsonl if first.startswith(b"{") else tsv
        yield from reader(decoded_lines(stream, PLACE), PLACE)

    def _copied(self) -> IO[bytes]:
        stream = self._stream or getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise DatasetError(f"{PLACE}: is closed")
        with disk_errors(tempfile.gettempdir()):
            copy = tempfile.TemporaryFile(prefix="splade-engine-")  # noqa: SIM115
            weakref.finalize(self, copy.close)
            _copy_lines(stream, copy)
        return copy


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


class _FromTheStart(io.RawIOBase):
    """A reader of an open file with a position of its own: several may be under way at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
