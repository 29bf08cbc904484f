"""Locks that end with their process, for one writer, one run in a folder, one compilation."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from splade_engine.errors import StorageError
from splade_engine.files import disk_errors, runs

if TYPE_CHECKING:
    from filelock import BaseFileLock


class HeldLock:
    """A lock that this process holds until `release`, the end of a `with` block, or its own end."""

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock

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
        timeout: seconds to wait for it; 0 tries once.

    Raises:
        StorageError: the file cannot be made, or the file system has no locks.
    """
    from filelock import FileLock, Timeout

    def note_holder(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())

    # a soft lock (a marker file) would outlive a process that is killed: no lock is better
    options: dict[str, Any] = {} if sys.platform == "win32" else {"on_acquired": note_holder}
    lock = FileLock(path, mode=0o644, thread_local=False, fallback_to_soft=False, **options)
    with disk_errors(path, "lock"):
        path.parent.stat()  # filelock would make the folder
    try:
        lock.acquire(timeout=timeout, poll_interval=0.01)
    except Timeout:
        return None
    except (OSError, NotImplementedError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, NotImplementedError) or number in _NO_LOCKS:
            message = f"cannot lock {path}: this file system has no locks; choose a folder on another one"
            raise StorageError(number or errno.ENOSYS, message) from error
        with disk_errors(path, "lock"):
            raise
    return HeldLock(lock)


_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def lock_holder(path: Path) -> str:
    """The number of the process that holds the lock, or held it last; "unknown" where that cannot be read."""
    with suppress(OSError):
        text = path.read_bytes()[:32].decode("ascii", "replace").strip()
        if text:
            return text
    return "unknown"


def holder_runs(path: Path) -> bool:
    """Whether the process that held the lock last runs on this machine; False where that is not known."""
    holder = lock_holder(path)
    return holder.isascii() and holder.isdigit() and runs(int(holder))
