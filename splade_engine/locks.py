"""Locks that end with their process, for one writer, one run in a folder, one compilation."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from splade_engine.errors import StorageError
from splade_engine.files import began, disk_errors, is_stopped, runs

if TYPE_CHECKING:
    from filelock import BaseFileLock


logger = logging.getLogger(__name__)


class HeldLock:
    """A lock that this process holds until `release`, the end of a `with` block, or its own end."""

    def __init__(self, lock: BaseFileLock, path: Path, file: os.stat_result | None) -> None:
        self._lock = lock
        self._path = path
        self._file = file  # which was locked; None where the system does not tell

    def in_place(self) -> bool:
        """Whether the file that is locked still is the one of its name.

        Where its folder was moved away and another one has taken its place, the lock is of the folder that
        was moved.
        """
        if self._file is None:  # Windows moves no folder in which a file is open
            return True
        try:
            return os.path.samestat(self._file, self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock up; the lock file stays, because a file that is removed can be locked twice."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take_lock(path: Path, *, timeout: float = 0.0) -> HeldLock | None:
    """Lock a file (made if missing), for one process and one holder within it; None if another holds it.

    The lock belongs to the process, not to the file: it goes when the process ends, however it ends.

    Args:
        path: the lock file; the number of the holder's process is written into it, see `lock_holder`.
        timeout: seconds to wait for it; 0 tries once. A long wait says in the log whom it is for.

    Raises:
        StorageError: the file cannot be made, or the file system has no locks.
    """
    from filelock import FileLock, Timeout

    locked: list[os.stat_result] = []

    def note_holder(descriptor: int) -> None:
        locked.append(os.fstat(descriptor))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {began(os.getpid())}\n".encode())

    # a soft lock (a marker file) would outlive a process that is killed: no lock is better
    options: dict[str, Any] = {} if sys.platform == "win32" else {"on_acquired": note_holder}
    lock = FileLock(path, thread_local=False, fallback_to_soft=False, **options)
    with disk_errors(path, "lock"):
        path.parent.stat()  # filelock would make the folder
    try:
        try:
            lock.acquire(timeout=min(timeout, SILENT), poll_interval=0.01)
        except Timeout:
            if timeout <= SILENT:
                return None
            holder = lock_holder(path)
            logger.info("%s: locked by process %s; waiting %.0f s for it at most", path, holder, timeout)
            lock.acquire(timeout=timeout - SILENT, poll_interval=0.01)
    except Timeout:
        return None
    except (OSError, NotImplementedError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, NotImplementedError) or number in _NO_LOCKS:
            message = f"cannot lock {path}: this file system has no locks; choose a folder on another one"
            raise StorageError(number or errno.ENOSYS, message) from error
        with disk_errors(path, "lock"):
            raise
    return HeldLock(lock, path, locked[-1] if locked else None)


SILENT = 5.0  # seconds of waiting that nobody is told of
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def lock_holder(path: Path) -> str:
    """Who holds the lock, or held it last, for a message: the number of a process, and whether it is stopped.

    A process that was stopped (Ctrl-Z, a debugger) keeps its locks and gets no further. "unknown" where the
    number cannot be read.
    """
    number, _ = _holder(path)
    return f"{number} (which is stopped)" if number.isdecimal() and is_stopped(int(number)) else number


def _holder(path: Path) -> tuple[str, str]:
    """The number of the process that holds a lock or held it last, and when that began; see `files.runs`."""
    with suppress(OSError):
        number, *since = path.read_bytes()[:64].decode("ascii", "replace").split() or [""]
        if number:
            return number, "".join(since[:1])
    return "unknown", ""


def holder_runs(path: Path) -> bool:
    """Whether the process that held the lock last runs on this machine; False where that is not known."""
    number, since = _holder(path)
    return number.isascii() and number.isdigit() and runs(int(number), since)
