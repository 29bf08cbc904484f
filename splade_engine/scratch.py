"""A temporary folder that is gone when its process is: at its end, or when the next one begins.

A process that is killed cannot remove its folder, and that of an evaluation or an upload holds whole indexes.
Each folder has a lock that lives as long as its process; whoever makes a new folder removes those whose lock
is free.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from splade_engine.errors import SpladeEngineError
from splade_engine.files import disk_errors
from splade_engine.locks import HeldLock, take_lock

_LOCK = ".lock"
_NEW = 60  # seconds
_UNLOCKED = 24 * 3600  # seconds after which a folder without a lock belongs to nobody


class Scratch:
    """The folder; `path` is where it is. As a context manager it is gone at the end of the block.

    Args:
        use: what it is for; the next one of this use removes those of processes that are gone.

    Raises:
        StorageError: if there is no place for it.
    """

    def __init__(self, use: str) -> None:
        root, prefix = Path(tempfile.gettempdir()), f"splade-engine-{use}-"
        remove_abandoned(root, prefix)
        with disk_errors(root, "make a folder in"):
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        lock: HeldLock | None = None
        with suppress(SpladeEngineError):  # a file system without locks: the folder is left to the clock
            lock = take_lock(self.path / _LOCK)
        self.close = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _remove(path: Path, lock: HeldLock | None) -> None:
    if lock is not None:
        lock.release()
    shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(root: Path, prefix: str) -> None:
    """Remove the folders of processes that are gone; never raises."""
    with suppress(OSError):
        for path in root.glob(prefix + "*"):
            with suppress(OSError, SpladeEngineError):
                if path.is_symlink() or not path.is_dir():
                    continue
                age = abs(time.time() - path.stat().st_mtime)  # also of a clock that was ahead
                if not (path / _LOCK).exists():
                    if age > _UNLOCKED:
                        shutil.rmtree(path, ignore_errors=True)
                    continue
                # its owner may be about to take the lock of a folder that is new
                lock = take_lock(path / _LOCK) if age > _NEW else None
                if lock is not None:
                    _remove(path, lock)
