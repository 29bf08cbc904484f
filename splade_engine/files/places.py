"""Folders of the user: the home folder in a path, and where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`; as it is where that is not known (an unknown user)."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_root() -> Path:
    """The folder for compiled kernels and downloads: `SPLADE_ENGINE_CACHE`, else `~/.cache/splade-engine`."""
    given = os.environ.get("SPLADE_ENGINE_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "splade-engine"
