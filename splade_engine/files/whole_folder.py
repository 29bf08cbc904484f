"""A folder that appears whole or not at all, in the place of another or in none."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_engine.arguments import expanded, flag
from splade_engine.errors import InvalidInputError
from splade_engine.files.disk import disk_errors, sync_folder
from splade_engine.files.leftovers import neighbour
from splade_engine.files.places import named

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False, mark: str = "") -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends without an error.

    Args:
        path: its final name.
        overwrite: replace a folder that is there.
        mark: only one that holds a file of this name: what every such folder has, and others have not.

    Raises:
        InvalidInputError: as `check_replaceable`, or `path` is not empty (without `overwrite`).
        StorageError: the disk refuses.
    """
    flag("overwrite", overwrite)
    target = named(expanded(path)).absolute()
    with disk_errors(path):
        _check(target, path, mark, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = neighbour(target, "tmp")
        temporary.mkdir()
        try:
            yield temporary
            _sync_tree(temporary)
            _check(target, path, mark, overwrite)  # once more: hours may have passed
            _publish(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path, mark: str, name: str | Path = "") -> None:
    """Refuse to replace a folder that is not empty and of another kind, as `atomic_folder` does.

    Raises:
        InvalidInputError: it is a file, the working folder or one above it, or holds something but no file
            `mark`; `name` begins the message.
    """
    name = name or folder
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{name}: exists and is not a folder")
    with disk_errors(name, "read"):
        inside = folder.is_dir() and folder.resolve() in (here := Path.cwd().resolve(), *here.parents)
    if inside:  # it is renamed, and who works in it is then nowhere
        raise InvalidInputError(f"{name}: is the working folder or holds it; run this from another folder")
    with disk_errors(name, "read"):
        held = sorted(path.name for path in folder.iterdir()) if mark and folder.is_dir() else []
    if held and mark not in held:
        raise InvalidInputError(
            f"{name}: holds {held[0]!r} and no {mark}: nothing that would be replaced; choose another"
        )


def _check(folder: Path, name: str | Path, mark: str, overwrite: bool) -> None:
    check_replaceable(folder, mark, name)
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise InvalidInputError(f"{name}: the folder is not empty")


def _publish(temporary: Path, target: Path) -> None:
    """Rename; a folder that is replaced takes the temporary name, and is deleted last.

    Where the system cannot exchange two names at once, it is moved aside first (`leftovers.bring_back`).
    """
    aside = None
    if target.is_dir():
        if any(target.iterdir()):
            if _exchanged(temporary, target):
                sync_folder(target.parent)
                return
            aside = neighbour(target, "old")
            target.rename(aside)
        else:
            target.rmdir()
    temporary.rename(target)
    sync_folder(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders have got each other's name in one step: Linux can, most of its file systems too."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if renameat2 is None:
        return False
    done: int = renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return done == 0


def _sync_tree(folder: Path) -> None:
    """Flush everything, and give files the mode that other new files get.

    safetensors makes them for the owner alone, and a model that others cannot read is of no use on a shared
    disk.
    """
    mode = folder.stat().st_mode & 0o666
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.chmod(mode)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
