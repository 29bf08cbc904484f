"""What a path means: the home folder in it, `.`, what stands beside it, and where caches are kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from splade_engine.arguments import expanded
from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files.digests import digest

_LONGEST = 255 - len(".encoding-0123456789abcdef")  # bytes of a name that an ending has room behind
_KEPT = 180  # bytes of a longer one


def named(path: Path) -> Path:
    """`path` as one that ends in a name: `.` and `..` are folders that have one."""
    return path.resolve() if path.name in ("", "..") else path


def beside(path: Path, ending: str) -> Path:
    """Where what belongs to `path` is kept while it is made: its name with an ending.

    A name that leaves no room for one is shortened, and told from others by its digest.

    Raises:
        InvalidInputError: `path` is the root, beside which there is nothing.
    """
    whole = named(path)
    if not whole.name:
        raise InvalidInputError(f"{path}: the root folder has no name, and nothing can be kept beside it")
    name = os.fsencode(whole.name)
    if len(name) > _LONGEST:
        return whole.with_name(f"{name[:_KEPT].decode(errors='ignore')}-{digest(name)[:16]}{ending}")
    return whole.with_name(whole.name + ending)


def cache_root(variable: str = "SPLADE_ENGINE_CACHE") -> Path:
    """The folder of what is kept for later: what `variable` says, else `~/.cache/splade-engine`.

    `XDG_CACHE_HOME` stands for `~/.cache`, unless it is relative: its specification has that passed over.

    Raises:
        StorageError: nobody knows the home folder, and nothing else is said.
    """
    given = os.environ.get(variable)
    if given:
        return expanded(given)
    caches = expanded(os.environ.get("XDG_CACHE_HOME") or "")
    if not caches.is_absolute():
        try:
            caches = Path.home() / ".cache"
        except RuntimeError:
            message = f"the home folder is not known; {variable} names another for what is kept"
            raise StorageError(errno.ENOENT, message) from None
    return caches / "splade-engine"
