"""Arguments that stand for many things: one string is not a list, a mapping is not its keys.

Python iterates over a string letter by letter and over a mapping key by key, so `delete("12")` would delete
the documents "1" and "2". Every public function that takes many of something calls `check_many` first.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping, Set
from typing import Any

from splade_engine.errors import InvalidInputError


def check_many(name: str, value: Any, of: str = "strings", *, ordered: bool = True) -> None:
    """Check that an argument is a collection, or an iterator, of several things.

    Args:
        name: of the argument, begins the message.
        value: the argument.
        of: what it holds.
        ordered: the order means something, so that a set is refused: its order is another in every process.

    Raises:
        InvalidInputError: for a single string, bytes, a mapping, a table, a set (if `ordered`), or what holds
            nothing.
    """
    if isinstance(value, list | tuple):
        return
    if isinstance(value, str | bytes | bytearray | memoryview):
        kind = "string" if isinstance(value, str) else type(value).__name__
        got = f"one {kind}, {value!r:.60}; pass [{value!r:.60}]"
    elif isinstance(value, Mapping):
        got = "a mapping; pass a list of its keys or values"
    elif hasattr(value, "columns") or hasattr(value, "column_names"):  # iterating gives the columns' names
        got = f"a table ({type(value).__name__}); pass one of its columns"
    elif ordered and isinstance(value, Set) and not isinstance(value, KeysView):
        got = "a set, which has no order; pass a list"
    elif not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        got = f"{type(value).__name__} {value!r:.60}"
    else:
        return
    raise InvalidInputError(f"{name}: a list of {of} is expected, got {got}")
