"""The disk: its errors with the file's name, names that reach it, stamps of files, reading at a place."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_engine.errors import StorageError


@contextmanager
def disk_errors(path: str | Path, doing: str = "write") -> Iterator[None]:
    """Turn an `OSError` of the block into a `StorageError` that names `path`.

    Raises:
        StorageError: "cannot write PATH: No space left on device", with the system's errno.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise StorageError(error.errno or 0, f"cannot {doing} {path}: {reason}") from error


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: without it, a file that was flushed may still have no name.

    Does nothing on Windows, where a folder cannot be opened.
    """
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """What changes whenever a file is written or replaced; None where there is none.

    The date of modification can be set, as `cp -p` does: of two models out of one archive it is the same.
    That of the last change of anything cannot.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


_SEEKING = threading.Lock()


def read_at(handle: int, size: int, start: int) -> bytes:
    """Bytes from a place in an open file; other readers, forked ones too, may be elsewhere in it."""
    if hasattr(os, "pread"):
        return os.pread(handle, size, start)
    with _SEEKING:  # Windows: two calls, and the position belongs to the handle
        os.lseek(handle, start, os.SEEK_SET)
        return os.read(handle, size)
