"""Documents on the disk: what was extracted and cut once is not extracted and cut again."""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import IO, Any

from splade_engine.collections.documents import Document
from splade_engine.collections.metadata import metadata_json, parsed_metadata
from splade_engine.files import disk_errors, read_at

_BATCH = 1024
_BLOCK = 1 << 20


class FromTheStart(io.RawIOBase):
    """A reader of an open file with a position of its own: several may be under way at once.

    They may be in several threads, and in processes that were forked, whose files share their position.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read on from where this reader is."""
        data = read_at(self._file.fileno(), len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def unnamed_file(owner: object) -> IO[bytes]:
    """A temporary file that is closed with its owner.

    It has no name, so that nothing is left where the process is killed.
    """
    file = tempfile.TemporaryFile(prefix="splade-engine-")  # noqa: SIM115
    weakref.finalize(owner, file.close)
    return file


class Spool:
    """Documents in a temporary file, compressed."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def filled(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Write documents; gives each after it was taken.

        Raises:
            StorageError: the disk refuses.
        """
        import pyarrow as pa

        names = ("id", "title", "text", "metadata")
        schema = pa.schema([(name, pa.large_string()) for name in names])
        with disk_errors(tempfile.gettempdir()):
            self._file = unnamed_file(self)
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(pa.PythonFile(_Unclosed(self._file), "w"), schema, options=options) as writer:
            held: list[Document] = []

            def write() -> None:
                rows = [(d.id, d.title, d.text, metadata_json(d.metadata)) for d in held]
                arrays = [pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)]
                with disk_errors(tempfile.gettempdir()):
                    writer.write_batch(pa.record_batch(arrays, schema=schema))
                held.clear()

            for document in documents:
                held.append(document)
                if len(held) == _BATCH:
                    write()
                yield document
            if held:
                write()
        with disk_errors(tempfile.gettempdir()):
            self._file.flush()  # readers go to the disk, past what Python holds back

    def __iter__(self) -> Iterator[Document]:
        import pyarrow as pa

        if self._file is None:
            return
        source = io.BufferedReader(FromTheStart(self._file), _BLOCK)
        # a thread of Arrow's that lets go of a buffer of Python's while the interpreter ends would abort it
        options = pa.ipc.IpcReadOptions(use_threads=False)
        with pa.ipc.open_stream(pa.PythonFile(source, "r"), options=options) as reader:
            for batch in reader:
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield Document(row[0], row[2], row[1], parsed_metadata(row[3]))


class _Unclosed(io.RawIOBase):
    """Takes what is written; closing it leaves the file open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        if not self.closed:
            self._file.flush()
