"""A stand-in for the `os` module that fails, dies, stalls or takes notes at a chosen system call.

`splade_engine.index.disk.storage` and `publish` make every system call that changes or reads an index as
`os.<name>`, so putting this in their place reaches all of them. (An encoder that belongs to an index is moved
by `own_encoder`; tests/engine/test_adapting.py ends a process at each of its renames.)
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from splade_engine.index.disk import publish, storage

CALLS = (
    "open",
    "write",
    "fsync",
    "close",
    "replace",
    "unlink",
    "listdir",
    "makedirs",
    "ftruncate",
    "fstat",
    "read",
)


@dataclass
class FaultyOs:
    """`os`, with `fault` called instead of the Nth of the watched calls (after it for `close`)."""

    at: int = -1
    fault: Callable[[str], Any] | None = None
    pause: float = 0.0  # seconds before each flush and change of a name: a slow disk
    count: int = 0
    trace: list[tuple] | None = None
    names: dict[int, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if self.pause and name in ("fsync", "replace", "unlink"):
                time.sleep(self.pause)
            if number == self.at and self.fault is not None:
                if name == "close":
                    real(*args)
                outcome = self.fault(name)
                if outcome is not None:
                    args = (args[0], args[1][:outcome])  # a short write
            result = real(*args, **kwargs)
            if self.trace is not None:
                self._note(name, args, result)
            return result

        return call

    def _note(self, name: str, args: tuple, result: Any) -> None:
        assert self.trace is not None
        if name == "open":
            self.names[result] = os.fspath(args[0])
            if args[1] & os.O_CREAT:
                self.trace.append(("create", self.names[result], bool(args[1] & os.O_TRUNC)))
        elif name == "write":
            self.trace.append(("write", self.names[args[0]], bytes(args[1][:result])))
        elif name == "ftruncate":
            self.trace.append(("truncate", self.names[args[0]], args[1]))
        elif name == "fsync":
            self.trace.append(("fsync", self.names[args[0]]))
        elif name in ("replace", "unlink", "makedirs"):
            self.trace.append((name, *map(os.fspath, args)))


@contextlib.contextmanager
def installed(faulty: FaultyOs) -> Iterator[FaultyOs]:
    """Put it in the place of `os` for the index."""
    with mock.patch.object(storage, "os", faulty), mock.patch.object(publish, "os", faulty):
        yield faulty


def raising(number: int) -> Callable[[str], Any]:
    """A fault that is this errno."""

    def fault(name: str) -> None:
        raise OSError(number, os.strerror(number), name)

    return fault


def dying(name: str) -> None:
    """The process is gone, without any clean-up."""
    os._exit(99)


def short(name: str) -> int | None:
    """The system takes one byte only."""
    return 1 if name == "write" else None
