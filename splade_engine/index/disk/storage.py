"""Files of the index: written once, flushed to the disk, checked before use, mapped read-only.

A *container* is a file of named one-dimensional arrays ("sections"), little-endian, one after another. A
section starts at a multiple of 64 bytes (of 4,096 from 1 MiB on: whole pages), the gaps are zeros, and the
file ends with its last section. What the sections are called and how long they are is not in the file: it
stands in the manifest, with a checksum of each.

Every system call that changes or reads an index goes through this module and `publish`, so that the crash
tests can let any of them fail. See docs/format.md for the format and its promises.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError, StorageError
from splade_engine.files import digest as digest

Array = NDArray[Any]

# a mapping needs no descriptor; before Python 3.13 every one keeps its own all the same
_UNTRACKED: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}

_WRITE_CHUNK = 16 << 20  # bytes handed to one write()
_PAGE = 4096
_LINE = 64
_PAGE_ALIGNED_FROM = 1 << 20  # bytes of a section
_SCRATCH_FROM = 1 << 20  # bytes of an array that is worth a file


def _flags(mode: int, *names: str) -> int:
    """Flags for `os.open`; what a system does not have is left out (descriptors never pass to a child)."""
    for name in ("O_BINARY", *names):  # without O_BINARY Windows would change line ends
        mode |= getattr(os, name, 0)
    return mode


_WRITE = _flags(os.O_WRONLY, "O_NOFOLLOW")
_READ = _flags(os.O_RDONLY, "O_NOFOLLOW", "O_NONBLOCK")


@dataclass(frozen=True, slots=True)
class SectionRecord:
    """What the manifest knows of a section: its number of items and the xxh3-128 of its bytes.

    The checksum has 32 hexadecimal digits.
    """

    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the manifest knows of a container: its id (the first part of its name) and its sections."""

    id: str
    sections: Mapping[str, SectionRecord]


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError of the same errno that names the path."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise StorageError(error.errno or 0, reason, str(path)) from error


def offsets_of(sizes: list[int]) -> list[int]:
    """Where sections of these sizes in bytes start, and as the last element where the file ends."""
    offsets, end = [], 0
    for size in sizes:
        unit = _PAGE if size >= _PAGE_ALIGNED_FROM else _LINE
        start = -(-end // unit) * unit
        offsets.append(start)
        end = start + size
    return [*offsets, end]


def describe(kind: str, serial: str, arrays: Mapping[str, Array]) -> FileRecord:
    """The record of a container that holds `arrays` in this order.

    The id is derived from the content and a serial number that no other file of the index has, so equal
    builds give equal files under equal names, and a file of another generation or content never has the same
    name.
    """
    sections = {name: SectionRecord(len(a), digest(np.ascontiguousarray(a))) for name, a in arrays.items()}
    identity = "\n".join([kind, serial, *(f"{n} {s.count} {s.digest}" for n, s in sections.items())])
    return FileRecord(digest(identity.encode()), sections)


def write_container(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a new container and flush it to the disk.

    Raises:
        StorageError: if the disk refuses; the file may then exist in part.
    """
    flat = [np.ascontiguousarray(a) for a in arrays.values()]
    starts = offsets_of([a.nbytes for a in flat])
    with disk_errors(path):
        fd = os.open(path, _WRITE | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            end = 0
            for array, start in zip(flat, starts, strict=False):
                write_all(fd, bytes(start - end))
                if array.nbytes:
                    write_all(fd, array.view(np.uint8).data)
                end = start + array.nbytes
            os.fsync(fd)
        finally:
            os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write the whole buffer, however little the system takes at a time."""
    view = memoryview(data)
    while len(view):
        written = os.write(fd, view[:_WRITE_CHUNK])
        if written <= 0:
            raise OSError(5, "the system wrote nothing")
        view = view[written:]


def write_file(path: Path, data: bytes) -> None:
    """Write a small file (it may exist) and flush it to the disk."""
    with disk_errors(path):
        fd = os.open(path, _WRITE | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)


def scratch_array(folder: Path, count: int, dtype: Any) -> Array:
    """An array in a file without a name in `folder`: the system may write its pages out when memory is short.

    Nothing of it is left when it is no longer used, or when the process dies. Small ones are plain memory.

    Raises:
        StorageError: if the disk has no room for it (not later, when it is filled).
    """
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    if size < _SCRATCH_FROM:
        return np.empty(count, kind)
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), kind)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk: without it, a file that was flushed may still have no name."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    with disk_errors(path):
        fd = os.open(path, _flags(os.O_RDONLY, "O_DIRECTORY"))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# hub snapshots and DVC keep folders of links; what a link leads to may be changed by whoever owns that
LINK = "{}: a symbolic link, not a regular file; cp -rL makes a folder of files out of a folder of links"


@contextlib.contextmanager
def opened_regular(path: Path) -> Iterator[tuple[int, int]]:
    """A file opened for reading: descriptor and size. Links, folders and pipes are refused, never waited on.

    Raises:
        IndexCorruptError: if the file is missing or is not a regular file.
        StorageError: if the disk refuses, here or within the context.
    """
    with disk_errors(path):
        try:
            fd = os.open(path, _READ)
        except FileNotFoundError:
            raise IndexCorruptError(f"{path}: the file is missing") from None
        except OSError as error:
            if path.is_symlink():
                raise IndexCorruptError(LINK.format(path)) from error
            raise
        try:
            if sys.platform == "win32" and path.is_symlink():
                raise IndexCorruptError(LINK.format(path))
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise IndexCorruptError(f"{path}: not a regular file")
            yield fd, status.st_size
        finally:
            os.close(fd)


def read_small(path: Path, limit: int) -> bytes:
    """The whole content of a regular file of at most `limit` bytes.

    Raises:
        IndexCorruptError: if the file is missing, not regular or longer.
        StorageError: if the disk refuses.
    """
    with opened_regular(path) as (fd, size):
        if size > limit:
            raise IndexCorruptError(f"{path}: {size} bytes, at most {limit} are allowed")
        data = b""
        while len(data) <= limit and (part := os.read(fd, limit + 1 - len(data))):
            data += part
        if len(data) > limit:
            raise IndexCorruptError(f"{path}: more than {limit} bytes")
        return data


def map_container(
    path: Path, dtypes: Mapping[str, str], sections: Mapping[str, SectionRecord], *, verify: bool
) -> dict[str, Array]:
    """Map a container read-only and return its sections as arrays over that one mapping.

    The checksums are computed from the mapping that is returned, so what was checked is what is used. The
    mapping lives as long as one of the arrays; replacing or deleting the file does not disturb it.

    Args:
        path: the file.
        dtypes: numpy dtype string of each section, in file order.
        sections: the record of each, same names.
        verify: compare the checksums and the zeros between the sections; otherwise only the size is checked.

    Raises:
        IndexCorruptError: naming the file and the section.
        StorageError: if the disk refuses.
    """
    kinds = [np.dtype(dtypes[name]) for name in sections]
    sizes = [kind.itemsize * s.count for kind, s in zip(kinds, sections.values(), strict=True)]
    *starts, total = offsets_of(sizes)
    with opened_regular(path) as (fd, size):
        if size != total:
            raise IndexCorruptError(f"{path}: {size} bytes, the manifest says {total}")
        # the file is write-once, so the size read from the open descriptor holds for the mapping
        buffer: mmap.mmap | bytes = b""
        if total:
            buffer = mmap.mmap(fd, total, access=mmap.ACCESS_READ, **_UNTRACKED)
    arrays, end = {}, 0
    whole = np.frombuffer(buffer, dtype=np.uint8)
    for (name, section), kind, start, length in zip(sections.items(), kinds, starts, sizes, strict=True):
        content = whole[start : start + length]
        if verify:
            if digest(content) != section.digest:
                raise IndexCorruptError(f"{path}: section {name}: the checksum does not match")
            if whole[end:start].any():
                raise IndexCorruptError(f"{path}: bytes between sections before {name} are not zero")
        arrays[name] = content.view(kind)
        end = start + length
    return arrays
