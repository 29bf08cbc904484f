"""A file that appears whole or not at all.

Where the system has files without a name (Linux), a writer that is killed leaves nothing. Otherwise it leaves
a hidden neighbour; the next writer in that folder removes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from splade_engine.files.disk import disk_errors, sync_folder
from splade_engine.files.leftovers import neighbour

_BLOCK = 1 << 22
_DESCRIPTORS = "/proc/self/fd"


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; when the block ends well it is fsynced and takes `path`'s place.

    A pipe or a device (/dev/stdout, /dev/null) is never replaced: it gets what was written when the block
    ends well.

    Raises:
        StorageError: naming the file, if the disk refuses (full, read-only, no such folder).
    """
    target = Path(path)
    with disk_errors(target):
        if is_stream(target):
            with tempfile.TemporaryFile() as collected:
                yield collected
                collected.seek(0)
                with target.open("wb") as stream:
                    shutil.copyfileobj(collected, stream, _BLOCK)
            return
        temporary = neighbour(target, "tmp")
        try:
            nameless = _nameless(target.parent)
            with temporary.open("xb") if nameless is None else nameless as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if nameless is not None:
                    _name(nameless, temporary)
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def is_stream(path: Path) -> bool:
    """Whether `path` is neither a regular file nor a folder nor free: a pipe, a device, a terminal.

    What lies in /dev is a stream even where it stands for a regular file, as /dev/stdout may.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.absolute().parts[1:2] == ("dev",)


def _nameless(folder: Path) -> BinaryIO | None:
    """A file without a name in `folder`, of which nothing is left if this process is killed.

    None where the system or the file system has no such files.
    """
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None or not Path(_DESCRIPTORS).is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_RDWR | flags, 0o666), "w+b")
    except OSError:  # what is wrong with the folder, opening a file with a name says
        return None


def _name(file: BinaryIO, path: Path) -> None:
    """Give a nameless file, which is flushed, a name."""
    try:
        # a descriptor of a folder makes Python call linkat, which follows the link in /proc
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.link(f"{_DESCRIPTORS}/{file.fileno()}", path, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
    except OSError:  # a file system that can make such files and not name them
        file.seek(0)
        with path.open("xb") as copy:
            shutil.copyfileobj(file, copy, _BLOCK)
            copy.flush()
            os.fsync(copy.fileno())
