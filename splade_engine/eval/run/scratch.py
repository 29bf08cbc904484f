"""A temporary folder that is gone when its process is: at its end, or when the next one begins.

A process that is killed cannot remove its folder, and an evaluation's holds whole indexes. Each folder has a
lock that lives as long as its process; whoever makes a new folder removes those whose lock is free.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

from splade_engine.errors import SpladeEngineError
from splade_engine.files import disk_errors
from splade_engine.locks import HeldLock, take_lock

_PREFIX = "splade-engine-eval-"
_LOCK = ".lock"
_NEW = 60  # seconds
_UNLOCKED = 24 * 3600  # seconds after which a folder without a lock belongs to nobody


class Scratch:
    """The folder; `path` is where it is.

    Raises:
        StorageError: if there is no place for it.
    """

    def __init__(self) -> None:
        root = Path(tempfile.gettempdir())
        remove_abandoned(root)
        with disk_errors(root, "make a folder in"):
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        lock: HeldLock | None = None
        with suppress(SpladeEngineError):  # a file system without locks: the folder is left to the clock
            lock = take_lock(self.path / _LOCK)
        self.close = weakref.finalize(self, _remove, self.path, lock)


def _remove(path: Path, lock: HeldLock | None) -> None:
    if lock is not None:
        lock.release()
    shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(root: Path) -> None:
    """Remove the folders of processes that are gone; never raises."""
    with suppress(OSError):
        for path in root.glob(_PREFIX + "*"):
            with suppress(OSError, SpladeEngineError):
                if path.is_symlink() or not path.is_dir():
                    continue
                age = time.time() - path.stat().st_mtime
                if not (path / _LOCK).exists():
                    if age > _UNLOCKED:
                        shutil.rmtree(path, ignore_errors=True)
                    continue
                # its owner may be about to take the lock of a folder that is new
                lock = take_lock(path / _LOCK) if age > _NEW else None
                if lock is not None:
                    _remove(path, lock)
