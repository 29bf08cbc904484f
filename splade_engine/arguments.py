"""Checking what callers pass, with errors that name the argument and its value.

Python iterates over a string letter by letter and over a mapping key by key, so `delete("12")` would delete
the documents "1" and "2". Every public function that takes many of something calls `check_many` first. A
number that cannot be meant (NaN, -1, True for 1) would otherwise fail somewhere deep, or be taken.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import os
from collections import Counter
from collections.abc import Iterable, KeysView, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast

from splade_engine.errors import InvalidInputError
from splade_engine.plain_text import one_line

T = TypeVar("T")


def shown(value: Any) -> str:
    """A value for a message, in one line of at most 60 characters."""
    try:
        text = repr(value)
        return (text if text.isprintable() else one_line(text))[:60]  # a table's has lines
    except Exception:  # a number of thousands of digits, or an object that cannot be shown
        return f"a value of type {type(value).__name__}"


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
        got = f"one {kind}, {shown(value)}; pass [{shown(value)}]"
    elif isinstance(value, Mapping):
        got = "a mapping; pass a list of its keys or values"
    elif hasattr(value, "columns") or hasattr(value, "column_names"):  # iterating gives the columns' names
        got = f"a table ({type(value).__name__}); pass a list of one of its columns"
    elif hasattr(value, "iloc"):  # pandas counts the rows of a column by their labels
        got = f"a column of a table ({type(value).__name__}); pass a list of it"
    elif ordered and isinstance(value, Set) and not isinstance(value, KeysView):
        got = "a set, which has no order; pass a list"
    elif not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        got = f"{type(value).__name__} {shown(value)}"
    else:
        return
    raise InvalidInputError(f"{name}: a list of {of} is expected, got {got}")


def many(name: str, value: Iterable[T], of: str = "strings", *, ordered: bool = True) -> Sequence[T]:
    """What `check_many` takes, as a sequence: of an iterator or an array a list.

    An array of numpy has no truth value and compares element by element, and the items of one of Arrow's are
    objects of its own.

    Raises:
        InvalidInputError: as `check_many`.
    """
    check_many(name, value, of, ordered=ordered)
    if isinstance(value, Sequence):
        return value
    as_list = getattr(value, "tolist", None)
    return list(value) if as_list is None else cast("list[T]", as_list())


def first_twice(values: Iterable[T]) -> T | None:
    """The first of some values that occurs again; None where each occurs once."""
    counts = Counter(values)
    return next((value for value, count in counts.items() if count > 1), None)


MOST = 2**63 - 1  # of what is counted


def whole(name: str, value: Any, least: int = 0, most: int = MOST) -> int:
    """A whole number between two bounds, of Python's or numpy's types.

    Raises:
        InvalidInputError: for anything else; True and False are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        bounds = f"of at least {least}" if most == MOST else f"from {least} to {most}"
        raise InvalidInputError(f"{name}: a whole number {bounds} is expected, got {shown(value)}")
    return int(value)


def real(name: str, value: Any, least: float, most: float) -> float:
    """A finite number between two bounds.

    Raises:
        InvalidInputError: for anything else.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(double(value)) or not least <= value <= most:
        raise InvalidInputError(
            f"{name}: a number from {least:g} to {most:g} is expected, got {shown(value)}"
        )
    return float(value)


def check_declared(instance: Any) -> None:
    """Check that fields of a dataclass are what they are declared as, where that is bool, int, float or str.

    Raises:
        InvalidInputError: naming the first field that is not, or that is no finite number.
    """
    for field in dataclasses.fields(instance):
        kinds = str(field.type).split(" | ")
        if not all(kind in _KINDS for kind in kinds):
            continue
        value = getattr(instance, field.name)
        if not any(_is(value, kind) for kind in kinds):
            what = " or ".join(_KINDS[kind] for kind in kinds)
            raise InvalidInputError(f"{field.name} must be {what}, got {shown(value)}")


# as annotations are written
_KINDS = {
    "bool": "True or False", "int": "a whole number", "float": "a finite number", "str": "a string",
    "None": "None",
}  # fmt: skip


def _is(value: Any, kind: str) -> bool:
    if value is None or isinstance(value, bool | str):
        return kind == {NoneType: "None", bool: "bool"}.get(type(value), "str")
    if kind == "int":
        return isinstance(value, Integral)
    return kind == "float" and isinstance(value, Real) and math.isfinite(double(value))


def double(value: Any) -> float:
    """A number as a float; infinity where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        InvalidInputError: for what is only taken for one of them.
    """
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}: True or False is expected, got {shown(value)}")
    return value


def path_of(name: str, value: Any) -> Path:
    """A path, from a string or a path, with the home folder in place of a `~` at its beginning.

    Raises:
        InvalidInputError: for anything else, an empty string, which would be the working folder, or what the
            system takes for no name: with a zero byte, half a surrogate pair, or too long.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or text == "":
        raise InvalidInputError(f"{name}: a path is expected, got {shown(value)}")
    refusal = _refusal(text)
    if refusal is not None:
        raise InvalidInputError(f"{name}: a path is expected, got {shown(value)}{refusal}")
    return expanded(text)


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`; as it is where that is not known (an unknown user)."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _refusal(text: str) -> str | None:
    """What is to be said where the system takes a text for no name; None where it may be one."""
    try:
        os.lstat(text)
    except ValueError:
        return ""
    except OSError as error:
        return f" ({error.strerror})" if error.errno == errno.ENAMETOOLONG else None
    return None
