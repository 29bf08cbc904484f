"""The encoder that belongs to an index: adapted to it, or shared with it.

It lies in the folder `encoder`. An index that takes the place of another one brings its own, or none. That is
laid beside the one that is there, as `encoder-of-generation-N` (an empty folder for none), before the commit
which publishes that generation, and takes its place afterwards. So a process that is killed at any moment
leaves each index with its encoder, and the next writer does what was left.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from splade_engine.files import atomic_folder, disk_errors, neighbour, sync_folder

ENCODER = "encoder"
_LAID = f"{ENCODER}-of-generation-"


def own_encoder(folder: Path, generation: int) -> Path | None:
    """Where the encoder of the generation that is published lies; None where it has none of its own."""
    laid = [number for number in _laid(folder) if number <= generation]
    found = folder / (f"{_LAID}{max(laid)}" if laid else ENCODER)
    return found if _is_encoder(found) else None


def is_ours(name: str) -> bool:
    """Whether an encoder of its own has this name within the folder of an index."""
    return name == ENCODER or _generation(name) is not None


def lay(folder: Path, encoder: Path | None, generation: int) -> Path | None:
    """Bring the encoder of the generation that is published next, or none; returns where it lies now.

    Raises:
        StorageError: the disk refuses.
    """
    own = folder / ENCODER
    there = os.path.lexists(own)
    if encoder is None and not there and not _laid(folder):
        return None
    target = folder / f"{_LAID}{generation}" if there or generation > 1 else own
    shutil.rmtree(target, ignore_errors=True)  # left by a build over a manifest that could not be read
    if encoder is not None:
        _move(encoder, target)
        return target
    with disk_errors(target):
        target.mkdir(exist_ok=True)
    sync_folder(folder)
    return target


def settle(folder: Path, generation: int) -> None:
    """Put the encoder of the published generation in its place; only who holds the lock may.

    Those of generations that were never published go.

    Raises:
        StorageError: the disk refuses.
    """
    laid = sorted(_laid(folder))
    if not laid:
        return
    own = folder / ENCODER
    if os.path.lexists(own) and not _is_encoder(own):  # somebody's own: it is never touched
        return
    with disk_errors(own):
        newest = max((number for number in laid if number <= generation), default=None)
        if newest is not None:
            if os.path.lexists(own):
                aside = neighbour(own, "tmp")
                own.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            new = folder / f"{_LAID}{newest}"
            if any(new.iterdir()):
                new.rename(own)
        for number in laid:
            shutil.rmtree(folder / f"{_LAID}{number}", ignore_errors=True)
    sync_folder(folder)


def _laid(folder: Path) -> list[int]:
    """The generations whose encoders lie beside the one in place."""
    with disk_errors(folder, "read"):
        found = [_generation(entry.name) for entry in os.scandir(folder) if entry.name.startswith(_LAID)]
    return [number for number in found if number is not None]


def _generation(name: str) -> int | None:
    number = name.removeprefix(_LAID)
    return int(number) if number != name and number.isascii() and number.isdecimal() else None


def _is_encoder(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "modules.json"))


def _move(folder: Path, target: Path) -> None:
    """Rename a folder, or copy it where the index is a disk of its own, such as a volume of a container."""
    with disk_errors(target):
        try:
            os.rename(folder, target)  # noqa: PTH104
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic_folder(target) as made:
                shutil.copytree(folder, made, dirs_exist_ok=True)
    sync_folder(target.parent)
