"""Hidden names beside a target while it is written, and what killed writers leave under such names."""

from __future__ import annotations

import itertools
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path

from splade_engine.files.digests import digest
from splade_engine.files.places import named
from splade_engine.files.processes import began, runs

_serial = itertools.count()
_tidied: set[Path] = set()  # folders that this process has looked through for the remains of others
_NEIGHBOUR = re.compile(
    r"\.(?P<target>.+)\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)(\.(?P<began>\d+))?-\d+\.(?P<role>tmp|old)", re.S
)


def neighbour(target: Path, role: str) -> Path:
    """A hidden name beside `target` that tells which process of which machine made it."""
    target = named(target)
    _tidy(target.absolute().parent)
    name = target.name
    if len(os.fsencode(name)) > 180:  # names end at 255 bytes
        name = digest(os.fsencode(name))
    me = ".".join(filter(None, (str(os.getpid()), began(os.getpid()))))
    while True:
        path = target.with_name(f".{name}.{_host()}-{me}-{next(_serial)}.{role}")
        if not os.path.lexists(path):  # of an earlier process with this number
            return path


def _host() -> str:
    return digest(platform.node().encode())[:6]


def _is_alive(name: re.Match[str]) -> bool:
    return runs(int(name["pid"]), name["began"] or "")


def bring_back(target: Path) -> None:
    """Put back a folder that was moved aside by a process that no longer runs; for readers, never raises."""
    target = target.absolute()
    if not os.path.lexists(target):
        _tidied.discard(target.parent)
        _tidy(target.parent)


def _tidy(folder: Path) -> None:
    """Remove what processes of this machine that no longer run have left in `folder`; never raises.

    A folder that was moved aside is put back where its successor never arrived.
    """
    if folder in _tidied:
        return
    _tidied.add(folder)
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = _NEIGHBOUR.fullmatch(entry.name)
            if match is None or match["host"] != _host() or _is_alive(match):
                continue
            path, target = folder / entry.name, folder / match["target"]
            if match["role"] == "old" and not os.path.lexists(target):
                path.rename(target)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)  # Windows refuses while somebody has it open
