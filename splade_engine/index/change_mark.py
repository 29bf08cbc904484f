"""The mark that several shards of a collection are being changed together.

A change of several shards is a commit in each of them. Whoever looks in between would see the first shards
changed and the others not, so the one who changes leaves a mark before the first commit and takes it away
after the last: until then an open reader stays where it is, and one that is being opened waits.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from splade_engine.arguments import whole
from splade_engine.errors import IndexLockedError, SpladeEngineError
from splade_engine.files import began, disk_errors, read_json, runs, write_json

CHANGING = "changing.json"
WAIT = 30.0  # seconds that opening waits for the end of a change
_MOST_BYTES = 4096
_LONGEST = 600.0  # seconds after which a mark of another machine, whose processes nobody here sees, is over


def begin(folder: Path, process: int) -> None:
    """Leave the mark; only who holds the collection's lock may.

    Raises:
        StorageError: the disk refuses.
    """
    mark = {"host": socket.gethostname(), "process": process, "began": began(process)}
    write_json(folder / CHANGING, mark)


def end(folder: Path) -> None:
    """Take the mark away, also one that a process left which was killed.

    Raises:
        StorageError: the disk refuses.
    """
    with disk_errors(folder / CHANGING):
        (folder / CHANGING).unlink(missing_ok=True)


def under_way(folder: Path) -> bool:
    """Whether somebody is between the first and the last commit of a change; a killed one is not."""
    file = folder / CHANGING
    try:
        age = time.time() - file.stat().st_mtime
        mark = read_json(file, most=_MOST_BYTES)
        process = whole("process", mark["process"], 1)
    except (OSError, SpladeEngineError, AttributeError, KeyError, TypeError):  # none, or of nobody
        return False
    if mark.get("host") == socket.gethostname():
        return runs(process, str(mark.get("began", "")))
    return abs(age) < _LONGEST  # clocks differ: a mark may be older than now, or newer


def wait(folder: Path) -> None:
    """Return when no change is under way.

    Raises:
        IndexLockedError: it takes too long.
    """
    until = time.monotonic() + WAIT
    while under_way(folder):
        if time.monotonic() > until:
            raise IndexLockedError(f"{folder}: several shards are being changed; try again when that is done")
        time.sleep(0.05)
