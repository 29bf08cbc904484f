"""Test 6: every system call of every change fails in turn, in every way. Old index or new one stays."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from splade_engine.errors import StorageError
from tests.attacks import victim
from tests.attacks.trials import Tally, scratch
from tests.crash import changes
from tests.crash.faulty import FaultyOs, dying, installed, raising, short

FAULTS: dict[str, Callable[[str], Any]] = {
    "EIO": raising(errno.EIO),
    "ENOSPC": raising(errno.ENOSPC),
    "EINTR": raising(errno.EINTR),
    "short write": short,
    "death": dying,
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that old files could not be deleted."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def open_files() -> int:
    """Number of file descriptors of this process, after what nothing refers to is closed."""
    gc.collect(0)
    return len(list(Path("/proc/self/fd").iterdir()))


EVERY = 500  # a count of so many lets every single call fail


def every_call(count: int, seed: int) -> Tally:
    """Let system calls of every change fail: each of them at a count of `EVERY`, every tenth at a tenth."""
    tally, step = Tally(), max(1, EVERY // count)
    with scratch() as folder, quiet():
        victim.build(folder / "pristine")
        for change in changes.CHANGES:
            before, after = changes.expected(change, folder / "pristine", folder / "ix")
            assert before != after, f"{change} changes nothing: the test could not tell"
            for kind in FAULTS:
                _every_call_of(tally, folder, change, kind, before, after, step)
        _every_call_of_opening(tally, folder)
    return tally


def _every_call_of(
    tally: Tally, folder: Path, change: str, kind: str, before: int | None, after: int | None, step: int
) -> None:
    number, files = 0, open_files()
    while True:
        changes.start(change, folder / "pristine", folder / "ix")
        faulty = FaultyOs(at=number, fault=FAULTS[kind])
        outcome = (_dying if kind == "death" else _failing)(changes.CHANGES[change], folder / "ix", faulty)
        if outcome == "untouched":
            return
        place = f"{change}, {kind} at call {number}"
        found = changes.look(folder / "ix")
        tally.trials += 1
        if found not in (before, after):
            tally.losses.append(f"{place}: neither the old index nor the new one")
        elif outcome == "done" and found != after:
            tally.losses.append(f"{place}: reported as done, but the old index is there")
        tally.outcomes[f"{outcome}, {'old' if found == before else 'new'}"] += 1
        try:
            changes.clean_up(folder / "ix")
        except AssertionError as error:
            tally.losses.append(f"{place}: {error}")
        if open_files() > files:
            tally.losses.append(f"{place}: {open_files() - files} file descriptors leaked")
        files = open_files()  # what earlier tests held may be closed meanwhile
        number += step


def _failing(change: Callable[[Path], None], folder: Path, faulty: FaultyOs) -> str:
    with installed(faulty):
        try:
            change(folder)
        except StorageError:
            return "refused"
    return "done" if faulty.count > faulty.at else "untouched"


def _dying(change: Callable[[Path], None], folder: Path, faulty: FaultyOs) -> str:
    pid = os.fork()
    if pid == 0:
        try:
            with installed(faulty):
                change(folder)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    return {0: "untouched", 99: "died"}[os.waitstatus_to_exitcode(status)]


def _every_call_of_opening(tally: Tally, folder: Path) -> None:
    good, files = victim.answers(folder / "pristine"), open_files()
    for kind, fault in FAULTS.items():
        if kind in ("death", "short write"):
            continue
        number = 0
        while True:
            faulty = FaultyOs(at=number, fault=fault)
            with installed(faulty):
                try:
                    same = victim.answers(folder / "pristine") == good
                    outcome = "opened" if same else "LOST"
                except StorageError:
                    outcome = "refused"
            if faulty.count <= number:
                break
            tally.trials += 1
            tally.outcomes[f"opening {outcome}"] += 1
            if outcome == "LOST" or open_files() > files:
                tally.losses.append(
                    f"opening, {kind} at call {number}: {outcome}, {open_files()} of {files} open"
                )
            number += 1
