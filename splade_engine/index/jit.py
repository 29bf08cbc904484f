"""Compiled kernels: explicit signatures, no GIL, machine code cached in a folder of the project's own.

Numba's own `cache=True` writes beside the source (often read-only) and is known to crash when several
processes start cold at once (numba issues 4807, 10128). Here the cache lives in `SPLADE_ENGINE_CACHE`, else
`~/.cache/splade-engine`, in one folder per (numba, llvmlite, Python, processor, kernel sources, flags): a
change of any of them is a new folder, nothing stale can be read. Compiling and loading happen under a file
lock, so that of many cold processes one compiles and the others load. Where the folder cannot be used
(read-only, owned by somebody else), kernels are compiled in memory. The cache holds code: it is only used
if it belongs to this user and nobody else may write to it.

A kernel is compiled or loaded on its first call, so importing this module costs nothing but numba's own
import.
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
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding, ir
from numba import types

# numba is typed in parts only: as a module of its own typing, every line below would need an exception
numba: Any = importlib.import_module("numba")
caching: Any = importlib.import_module("numba.core.caching")
cgutils: Any = importlib.import_module("numba.core.cgutils")
intrinsic: Any = importlib.import_module("numba.extending").intrinsic

logger = logging.getLogger(__name__)

_COMPILE = threading.RLock()  # LLVM is entered by one thread at a time


class Kernel:
    """A function compiled for one of its signatures when that one is first called.

    `name(...)` calls the first signature, `name[i]` is the callable of signature i: the caller, who knows
    its types, picks the variant, and the others are never compiled.
    """

    def __init__(self, function: Callable[..., Any], signatures: tuple[str, ...]) -> None:
        functools.update_wrapper(self, function)
        self.python: Callable[..., Any] = function
        self.signatures = signatures
        self._compiled: list[Callable[..., Any] | None] = [None] * len(signatures)

    def __getitem__(self, variant: int) -> Callable[..., Any]:
        call = self._compiled[variant]
        return call if call is not None else self._compile(variant)

    def __call__(self, *args: Any) -> Any:
        """Run the first variant."""
        return self[0](*args)

    def _compile(self, variant: int) -> Callable[..., Any]:
        with _COMPILE:
            call = self._compiled[variant]
            if call is None:
                disabled = numba.config.DISABLE_JIT
                call = self.python if disabled else _compiled(self.python, self.signatures[variant])
                self._compiled[variant] = call
            return call


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate a naked loop; each signature lists its arguments, such as `"i8 u2[] f4[]! i8[,]!"`.

    `b1 u1 u2 u4 u8 i4 i8 f4 f8` are scalars, `[]` makes a contiguous array that is only read (a mapped file),
    `[]!` one that is written, `[,]!` a two-dimensional one.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signatures)

    return decorate


def _argument(text: str) -> Any:
    scalar, _, rest = text.partition("[")
    kind = {"b1": types.boolean, "u1": types.uint8, "u2": types.uint16, "u4": types.uint32, "i4": types.int32}
    kind |= {"i8": types.int64, "u8": types.uint64, "f4": types.float32, "f8": types.float64}
    if not rest:
        return kind[scalar]
    return types.Array(kind[scalar], 1 + rest.count(","), "C", readonly=not rest.endswith("!"))


def inlined(function: Callable[..., Any]) -> Any:
    """Decorate a helper that kernels call; it is compiled into each of them."""
    return numba.njit(nogil=True, inline="never")(function)


if numba.config.DISABLE_JIT:

    def prefetch(array: Any, index: int) -> None:
        """Ask for the cache line of `array[index]`; a hint that changes nothing but time."""

else:

    @intrinsic
    def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
        """Ask for the cache line of `array[index]`; a hint that changes nothing but time."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, args[0])
            pointer = builder.bitcast(builder.gep(view.data, [args[1]]), cgutils.voidptr_t)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[ir.IntType(32)] * 3])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [pointer, *(ir.Constant(ir.IntType(32), v) for v in (0, 3, 1))])
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen


# ---- the cache ---------------------------------------------------------------------------------


def cache_root() -> Path:
    """The folder that holds compiled kernels: `SPLADE_ENGINE_CACHE`, else `~/.cache/splade-engine`."""
    given = os.environ.get("SPLADE_ENGINE_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "splade-engine"


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
    here = Path(__file__).parent
    for source in [
        here / "jit.py",
        here / "segment" / "row_kinds.py",
        *sorted((here / "kernels").glob("*.py")),
    ]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


@functools.cache
def _cache_folder() -> Path | None:
    """The folder for this key, or None where none is safe to use."""
    try:
        folder = cache_root() / f"kernels-{cache_key()}"  # RuntimeError: a user whose home nobody knows
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (OSError, RuntimeError) as error:
        logger.info("kernels are compiled in memory: %s", error)
        return None
    mine = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    if not mine or folder.is_symlink():
        logger.warning("kernels are compiled in memory: %s can be written by others", folder)
        return None
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; yields whether the folder can be written."""
    try:
        handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError:
        yield False  # read-only: files there are complete, they were published by rename
        return
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield True
    finally:
        os.close(handle)


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba's cache to use our folder; the key in its name stands for the source stamp."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._name = hashlib.sha256(f"{file}:{function.__code__.co_firstlineno}".encode()).hexdigest()[:10]

    def get_cache_path(self) -> str:
        return str(_cache_folder() or Path(tempfile.gettempdir()))

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
    """numba's function cache in our folder; a damaged file means compiling again, never an error."""

    _impl_class = _Implementation

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception as error:  # whatever a damaged cache file makes the reader raise
            logger.warning("kernel cache unreadable, compiling again: %s", error)
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError as error:
            logger.info("kernel not cached: %s", error)


def _compiled(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    dispatcher = numba.njit(nogil=True)(function)
    argument_types = types.void(*map(_argument, signature.split()))
    folder = _cache_folder()
    if folder is None:
        dispatcher.compile(argument_types)
    else:
        with _locked(folder):
            dispatcher._cache = _KernelCache(function)
            dispatcher.compile(argument_types)
    dispatcher.disable_compile()
    compiled: Callable[..., Any] = dispatcher
    return compiled
