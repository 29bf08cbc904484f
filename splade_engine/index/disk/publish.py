"""Changing an index on disk: one writer at a time, one atomic commit, nothing old lost before it.

    files under new names, each flushed -> folder flushed -> manifest.json.tmp flushed
        -> renamed to manifest.json (the commit) -> folder flushed -> files of no generation deleted

A crash, a full disk or a power cut at any point leaves the old index or the new one, and perhaps files that
no manifest names; the next writer deletes those. Readers take no lock: a mapping outlives the name of its
file.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from splade_engine.arguments import flag
from splade_engine.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    IndexVersionError,
    StorageError,
)
from splade_engine.files import ours, refuse_ours
from splade_engine.hub import hub_source
from splade_engine.index.disk import own_encoder
from splade_engine.index.disk.manifest import MAX_BYTES, decode, encode
from splade_engine.index.disk.records import Manifest
from splade_engine.index.disk.storage import (
    LINK,
    FileRecord,
    describe,
    disk_errors,
    read_small,
    sync_folder,
    write_container,
    write_file,
)
from splade_engine.locks import HeldLock, lock_holder, take_lock

logger = logging.getLogger(__name__)

MANIFEST = ours.INDEX
_TEMPORARY = "manifest.json.tmp"
LOCK = "write.lock"
_LEAST_FREE = 1 << 20  # bytes on a disk that is not full
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
KINDS = ("postings", "ids", "payload", "words", "deleted")
_OURS = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(KINDS)})\Z")


def read_manifest(folder: Path) -> tuple[Manifest, bytes]:
    """The manifest of the index in `folder`, and its bytes.

    Raises:
        IndexNotFoundError: if there is no folder or no manifest in it.
        IndexCorruptError, IndexVersionError: if it does not hold.
        StorageError: if the disk refuses.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        shared = hub_source(folder)
        if shared is not None:
            raise IndexNotFoundError(f"{shared}: a folder is needed here; splade-engine pull {shared} FOLDER")
        raise IndexNotFoundError(f"{folder}: no index here ({MANIFEST} is missing)")
    data = read_small(path, MAX_BYTES)
    return decode(data, str(path)), data


def refuse_occupied(folder: Path, *, overwrite: bool) -> None:
    """Check that a build may write into `folder`, without making it.

    It may where there is nothing, an empty folder, or the remains of a build that died; with `overwrite` also
    where there is an index. Other people's files are never written between.

    Raises:
        InvalidInputError: `overwrite` is neither True nor False: "no" would replace an index. Or the folder
            lies in one of ours.
        IndexExistsError: if the folder holds something else.
        StorageError: if the disk refuses.
    """
    flag("overwrite", overwrite)
    refuse_ours(folder)
    with disk_errors(folder):
        if not os.path.lexists(folder):
            return
        if not folder.is_dir():
            raise IndexExistsError(f"{folder}: exists already and is not a folder")
        names = os.listdir(folder)  # noqa: PTH208
    killed = LOCK in names and MANIFEST not in names  # a build, which may have left an encoder
    known = {MANIFEST, _TEMPORARY, LOCK, *filter(own_encoder.is_ours, names if killed else ())}
    strange = sorted(n for n in names if n not in known and not _OURS.match(n))
    if strange and not (overwrite and MANIFEST in names):
        raise IndexExistsError(f"{folder}: exists already and is not empty (it holds {strange[0]!r})")
    if MANIFEST in names and not overwrite:
        raise IndexExistsError(
            f"{folder}: exists already and holds an index; choose another folder, or pass overwrite=True "
            "(on the command line --overwrite)"
        )
    with disk_errors(folder):
        _refuse_read_only(folder)
    if os.path.lexists(folder / LOCK):
        _refuse_lock(folder / LOCK)


def prepare_folder(folder: Path, *, overwrite: bool) -> bool:
    """Make the folder of a new index unless it is there; True if made. Refuses as `refuse_occupied` does."""
    refuse_occupied(folder, overwrite=overwrite)
    with disk_errors(folder):
        if os.path.lexists(folder):
            return False
        os.makedirs(folder)  # noqa: PTH103 - every system call of this module goes through `os`
        sync_folder(folder.absolute().parent)
    return True


def remove_remains(folder: Path) -> None:
    """Remove a folder that a failed build made, if nothing of value is in it; never raises."""
    with contextlib.suppress(OSError):
        if {p.name for p in folder.iterdir()} <= {LOCK}:
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


class IndexWriter:
    """The right to change the index in a folder, from `with` to its end, for one process at a time.

    Entering takes the lock and deletes what a writer that died has left. `add_file` writes files of the next
    generation, `commit` publishes it. Leaving without a commit deletes what was written.

    Args:
        folder: of the index.
        wait: seconds to wait for whoever holds the lock.

    Raises:
        IndexLockedError: if another process (or another writer of this one) holds the lock.
    """

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        self.folder = folder
        self._wait = wait
        # what is published; None before the first build or when unreadable
        self.manifest: Manifest | None = None
        self.generation = 1  # of the next commit
        self._lock: HeldLock | None = None
        self._serial = 0
        self._written: list[Path] = []
        self._laid: Path | None = None  # where the encoder of the next commit lies
        self._committing = False

    def __enter__(self) -> Self:
        self._lock = _take_lock(self.folder / LOCK, self._wait)
        try:
            self._start()
        except BaseException:
            self._release()
            raise
        return self

    def _start(self) -> None:
        try:
            self.manifest, _ = read_manifest(self.folder)
        except (IndexNotFoundError, IndexCorruptError, IndexVersionError):
            return  # nothing is deleted on the word of a manifest that does not hold
        self.generation = self.manifest.generation + 1
        self._clean(self.manifest)

    def current(self) -> Manifest:
        """The published manifest; an error tells why there is none."""
        return self.manifest if self.manifest is not None else read_manifest(self.folder)[0]

    def add_file(self, kind: str, arrays: Mapping[str, NDArray[Any]]) -> FileRecord:
        """Write a container of the next generation; it counts from the commit on."""
        self._serial += 1
        record = describe(kind, f"{self.generation}.{self._serial}", arrays)
        path = self.folder / f"{record.id}.{kind}"
        with disk_errors(path):
            if os.path.lexists(path):
                os.unlink(path)  # noqa: PTH108 - left by a build over a manifest that could not be read
        self._written.append(path)
        write_container(path, arrays)
        return record

    def commit(self, manifest: Manifest) -> None:
        """Publish `manifest` as the index of this folder, then delete the files it does not name.

        Raises:
            IndexLockedError: the folder was moved away, and perhaps another one is in its place. Nothing has
                changed then.
            StorageError: if the disk refuses. Before the rename the old index stays; after it either may be
                there, whole. A failed flush is never tried again: what the disk holds then is unknown.
        """
        data = encode(manifest)
        sync_folder(self.folder)
        temporary, path = self.folder / _TEMPORARY, self.folder / MANIFEST
        write_file(temporary, data)
        self._refuse_moved()
        self._committing = True
        with disk_errors(path):
            os.replace(temporary, path)  # noqa: PTH105
        sync_folder(self.folder)
        self.manifest, self.generation = manifest, manifest.generation + 1
        self._written.clear()
        self._laid = None
        self._committing = False
        try:
            self._clean(manifest)
        except StorageError as error:  # the change is made and safe: the next writer deletes them
            logger.warning("files of the old generation stay for now: %s", error)

    def commit_new(self, manifest: Manifest, encoder: Path | None) -> None:
        """Publish an index of its own, with the encoder in this folder, which is moved, or with none.

        Raises:
            IndexLockedError, StorageError: as `commit`.
        """
        self._laid = own_encoder.lay(self.folder, encoder, manifest.generation)
        self.commit(manifest)

    def _refuse_moved(self) -> None:
        """Refuse to publish in a folder that has taken the place of the one that is locked."""
        if self._lock is not None and not self._lock.in_place():
            raise IndexLockedError(
                f"{self.folder}: was moved or replaced during the change; nothing has changed, try again"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._committing:  # after a failed rename the new files may be the index
                for path in [*self._written, self.folder / _TEMPORARY]:
                    path.unlink(missing_ok=True)
                if self._laid is not None:
                    shutil.rmtree(self._laid, ignore_errors=True)
        except OSError:
            pass  # the next writer deletes them; the error on its way out says more
        finally:
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._lock.release()  # as the end of the process would
            self._lock = None

    def _clean(self, manifest: Manifest) -> None:
        """Leave what belongs to the published generation, and nothing else."""
        own_encoder.settle(self.folder, manifest.generation)
        keep = manifest.file_names()
        with disk_errors(self.folder):
            for name in os.listdir(self.folder):  # noqa: PTH208
                if name == _TEMPORARY or (_OURS.match(name) and name not in keep):
                    try:
                        os.unlink(self.folder / name)  # noqa: PTH108
                    except PermissionError:
                        if os.name != "nt":  # Windows keeps a file as long as a reader maps it
                            raise


def _take_lock(path: Path, wait: float) -> HeldLock:
    while True:
        if not path.parent.is_dir():
            raise IndexNotFoundError(f"{path.parent}: no such folder")
        lock = take_lock(path, timeout=wait)
        if lock is None:
            raise IndexLockedError(
                f"{path.parent}: process {lock_holder(path)} is writing this index; try again when it is done"
            )
        if lock.in_place():
            return lock
        lock.release()  # of a folder that another one has just replaced


def _refuse_read_only(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "this process may not write into the folder")


def _refuse_lock(path: Path) -> None:
    with disk_errors(path):
        try:
            os.close(os.open(path, _LOCK_FLAGS, 0o666))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StorageError(errno.ELOOP, LINK.format(path)) from None
            raise


def refuse_unwritable(folder: Path) -> None:
    """Check, before any work, that the index in `folder` could be changed. Takes no lock: it may be busy now.

    Raises:
        IndexNotFoundError: there is no such folder.
        StorageError: this process may not write there, the file system is read-only, or the disk is full.
    """
    with disk_errors(folder):
        if not folder.is_dir():
            raise IndexNotFoundError(f"{folder}: no such folder")
        _refuse_read_only(folder)
        if shutil.disk_usage(folder).free < _LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _refuse_lock(folder / LOCK)


@contextlib.contextmanager
def new_index(folder: Path, *, overwrite: bool) -> Iterator[IndexWriter]:
    """A writer for an index of its own; an index that is there stays as it is until the commit.

    A folder that was made for it is removed again when the block fails.

    Raises:
        IndexExistsError, IndexLockedError, StorageError: as `refuse_occupied` and `IndexWriter`.
    """
    made = prepare_folder(folder, overwrite=overwrite)
    try:
        with IndexWriter(folder) as writer:
            yield writer
    except BaseException:
        if made:
            remove_remains(folder)
        raise
