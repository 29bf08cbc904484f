"""The folder that holds compiled kernels.

Numba's own `cache=True` writes beside the source (often read-only) and is known to crash when several
processes start cold at once (numba issues 4807, 10128). Here the cache lives in `SPLADE_ENGINE_CACHE`, else
`~/.cache/splade-engine`, in one folder per (numba, llvmlite, Python, processor, kernel sources, flags): a
change of any of them is a new folder, nothing stale can be read. What is there is loaded without a lock:
files are complete, they were published by rename. Compiling happens under a file lock, so that of many cold
processes one compiles and the others load. Where the folder cannot be used
(read-only, owned by somebody else, locked by a process that is stopped), kernels are compiled in memory. The
cache holds code: it is only used if it belongs to this user and nobody else may write to it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding

from splade_engine.errors import StorageError
from splade_engine.files import cache_root
from splade_engine.index.kernels.compiler import numba
from splade_engine.locks import lock_holder, take_lock

caching: Any = importlib.import_module("numba.core.caching")

logger = logging.getLogger(__name__)


@functools.cache
def cache_key() -> str:
    """Hash of everything that compiled code depends on."""
    digest = hashlib.sha256()
    features = ",".join(f"{k}={v}" for k, v in sorted(binding.get_host_cpu_features().items()))
    flags = [
        str(getattr(numba.config, name, "")) for name in ("BOUNDSCHECK", "OPT", "CPU_NAME", "CPU_FEATURES")
    ]
    versions = [numba.__version__, llvmlite.__version__, sys.version, platform.machine()]
    for part in (*versions, binding.get_host_cpu_name(), features, *flags):
        digest.update(part.encode() + b"\0")
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


@functools.cache
def cache_folder() -> Path | None:
    """The folder for this key, or None where none is safe to use."""
    try:
        folder = cache_root() / f"kernels-{cache_key()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        logger.info("kernels are compiled in memory: %s", error)
        return None
    mine = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    if not mine or folder.is_symlink():
        logger.warning("kernels are compiled in memory: %s can be written by others", folder)
        return None
    return folder


# Seconds to wait for the lock in all: compiling one kernel takes some ten. A process that was stopped while
# it holds the lock (Ctrl-Z, a debugger, a frozen container) would otherwise stop every search of this user.
PATIENCE = 60.0
_waited = 0.0


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; yields whether it is held, so that the folder may be written."""
    global _waited
    started = time.monotonic()
    lock = None
    try:
        lock = take_lock(folder / "lock", timeout=max(0.0, PATIENCE - _waited))
    except StorageError as error:
        logger.info("kernels are compiled in memory: %s", error)
    else:
        _waited += time.monotonic() - started
        if lock is None:
            holder = lock_holder(folder / "lock")
            logger.warning("%s: locked by process %s; kernels are compiled in memory", folder, holder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba's cache to use our folder; the key in its name stands for the source stamp."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._name = hashlib.sha256(f"{file}:{function.__code__.co_firstlineno}".encode()).hexdigest()[:10]

    def get_cache_path(self) -> str:
        return str(cache_folder() or Path(tempfile.gettempdir()))

    def get_source_stamp(self) -> str:
        return cache_key()

    def get_disambiguator(self) -> str:
        return self._name

    def ensure_cache_path(self) -> None:
        return None

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator:
        return cls(function, file)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)  # in place of numba's own choice

    def __init__(self, function: Callable[..., Any]) -> None:
        override, numba.config.CACHE_LOCATOR_CLASSES = getattr(numba.config, "CACHE_LOCATOR_CLASSES", ""), ""
        try:
            super().__init__(function)
        finally:
            numba.config.CACHE_LOCATOR_CLASSES = override


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """numba's function cache in our folder; a damaged file means compiling again, never an error.

    Args:
        function: the kernel.
        lock: takes the folder's lock for as long as compiling takes; says whether it is held.
    """

    _impl_class = _Implementation

    def __init__(self, function: Callable[..., Any], lock: Callable[[], bool]) -> None:
        super().__init__(function)
        self._lock = lock
        self._writable = False

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        found = self._found(signature, target_context)
        if found is None:  # whoever holds the lock may be compiling it
            self._writable = self._lock()
            found = self._found(signature, target_context)
        return found

    def _found(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception as error:  # whatever a damaged cache file makes the reader raise
            logger.warning("kernel cache unreadable, compiling again: %s", error)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        if not self._writable:
            return
        try:
            super().save_overload(signature, data)
        except OSError as error:
            logger.info("kernel not cached: %s", error)


def compiled(function: Callable[..., Any], signature: tuple[Any, ...]) -> Callable[..., Any]:
    """Machine code of a function for these numba types, from the cache where it is there.

    It is called with arguments of these types and no others: it checks sizes and dimensions of arrays only.
    """
    # Without numba's runtime no loop can allocate, and none counts references to arrays (atomic operations: 2
    # to 12 % of a search, since groups are handed from helper to helper; so grouping costs nothing)
    dispatcher = numba.njit(nogil=True, _nrt=False)(function)
    folder = cache_folder()
    if folder is None:
        dispatcher.compile(signature)
    else:
        with contextlib.ExitStack() as stack:
            dispatcher._cache = _KernelCache(function, lambda: stack.enter_context(_locked(folder)))
            dispatcher.compile(signature)
    entry: Callable[..., Any] = dispatcher.overloads[signature].entry_point
    return entry
