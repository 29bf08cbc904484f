"""Writing a model folder in one step: everything into a temporary neighbour, then one rename."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError, StorageError


@contextmanager
def new_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends without an error.

    A reader sees the old state or the whole new one; a failed or killed writer leaves at most a hidden
    `.name.tmp-*` beside it.

    Raises:
        InvalidInputError: if `folder` exists and is not an empty folder (without `overwrite`).
        StorageError: if the disk refuses.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists() and not target.is_dir():
        raise InvalidInputError(f"{folder}: exists and is not a folder")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InvalidInputError(f"{folder}: the folder is not empty")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.tmp-{uuid.uuid4().hex[:12]}"
        temporary.mkdir()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error
    try:
        yield temporary
        _sync(temporary)
        _publish(temporary, target)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, target: Path) -> None:
    """Rename; a folder that is replaced is moved aside first and deleted last."""
    aside = None
    if target.is_dir():
        if any(target.iterdir()):
            aside = target.parent / f".{target.name}.tmp-{uuid.uuid4().hex[:12]}"
            target.rename(aside)
        else:
            target.rmdir()
    temporary.rename(target)
    _sync_folder(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    """fsync everything. Files get the mode that other new files get: safetensors makes them for the owner
    alone, and a model that others cannot read is no use on a shared disk.
    """
    mode = folder.stat().st_mode & 0o666
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.chmod(mode)
            with path.open("rb+") as f:
                os.fsync(f.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """JSON as transformers and sentence-transformers write it: two spaces, UTF-8, a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
