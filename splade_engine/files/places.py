"""What a path means: the home folder in it, `.`, what stands beside it, and where caches are kept."""

from __future__ import annotations

import os
from pathlib import Path

from splade_engine.errors import InvalidInputError


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`; as it is where that is not known (an unknown user)."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def named(path: Path) -> Path:
    """`path` as one that ends in a name: `.` and `..` are folders that have one."""
    return path.resolve() if path.name in ("", "..") else path


def beside(path: Path, ending: str) -> Path:
    """Where what belongs to `path` is kept while it is made: its name with an ending.

    Raises:
        InvalidInputError: `path` is the root, beside which there is nothing.
    """
    whole = named(path)
    if not whole.name:
        raise InvalidInputError(f"{path}: the root folder has no name, and nothing can be kept beside it")
    return whole.with_name(whole.name + ending)


def cache_root() -> Path:
    """The folder for compiled kernels and downloads: `SPLADE_ENGINE_CACHE`, else `~/.cache/splade-engine`."""
    given = os.environ.get("SPLADE_ENGINE_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "splade-engine"
