"""What a filter is made of: a tree of frozen nodes, whichever way it was written.

Each node checks what it is made of, and makes plain values of it: answers are kept under what a filter looks
like, and a numpy array of a thousand values looks like its first and last three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np

from splade_engine.arguments import check_many, shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.words.text import folded
from splade_engine.plain_text import is_text

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
MAX_DEPTH = 50  # nested parentheses or nots
MAX_NODES = 4 * MAX_DEPTH  # one within the other: some forms make several of a level
Value = str | int | float | bool
_VALUES = {str, int, float, bool}
_LARGEST = 10**400  # a whole number that is compared; of thousands of digits Python writes none


@dataclass(frozen=True)
class Compare:
    """`column operator value`."""

    column: str
    operator: str
    value: Value

    def __post_init__(self) -> None:
        _check_column(self.column)
        if self.operator not in OPERATORS:
            raise InvalidInputError(
                f"where: {self.column}: {shown(self.operator)} is none of {', '.join(OPERATORS)}"
            )
        object.__setattr__(self, "value", plain_value(self.column, self.value))


@dataclass(frozen=True)
class In:
    """`column in [values]`."""

    column: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        _check_column(self.column)
        check_many(f"where: {self.column}: in", self.values, "values", ordered=False)
        object.__setattr__(self, "values", _plain_values(self.column, self.values))


@dataclass(frozen=True)
class Like:
    """`column contains part`, `column prefix part`: a text holds it, or begins with it.

    A list holds an item that is the part, or begins with it.
    """

    column: str
    how: Literal["contains", "prefix"]
    part: str
    # whether "Moon" holds "moon"; of a list, whether the items are compared so
    ignore_case: bool = False

    def __post_init__(self) -> None:
        _check_column(self.column)
        if self.how not in ("contains", "prefix"):
            raise InvalidInputError(f"where: {self.column}: {shown(self.how)} is none of contains, prefix")
        if not isinstance(self.part, str):
            raise InvalidInputError(f"where: {self.column}: {self.how} takes a text, got {shown(self.part)}")
        _check_text(f"where: {self.column}: {self.how}", self.part)


@dataclass(frozen=True)
class IsNull:
    """`column is null`."""

    column: str

    def __post_init__(self) -> None:
        _check_column(self.column)


@dataclass(frozen=True)
class HoldsWords:
    """One of the text columns holds these words, one directly after the other (`filter/words.py`)."""

    # at least one; kept folded
    words: tuple[str, ...]
    # whether the last one may go on: "refund" stands for "refunds" too
    prefix: bool = False

    def __post_init__(self) -> None:
        check_many("where: words", self.words)
        words = tuple(self.words)
        if not words or not all(isinstance(word, str) and word for word in words):
            raise InvalidInputError(f"where: words: one word or several are expected, got {shown(words)}")
        for word in words:
            _check_text("where: words", word)
        object.__setattr__(self, "words", tuple(map(folded, words)))


@dataclass(frozen=True)
class Not:
    """`not part`."""

    part: Filter

    def __post_init__(self) -> None:
        _check_filters((self.part,))


@dataclass(frozen=True)
class Sure:
    """`part`, and false where it is neither true nor false: the logic of filters that know no unknown."""

    part: Filter

    def __post_init__(self) -> None:
        _check_filters((self.part,))


@dataclass(frozen=True)
class Every:
    """`part and part and ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _checked_parts(self.parts))


@dataclass(frozen=True)
class Some:
    """`part or part or ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _checked_parts(self.parts))


Leaf = Compare | In | Like | IsNull
Filter = Leaf | HoldsWords | Not | Sure | Every | Some
FILTERS = (Compare, In, Like, IsNull, HoldsWords, Not, Sure, Every, Some)
Where = str | Mapping[str, Any] | Filter  # what callers may write


def _check_column(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"where: the name of a column is expected, got {shown(name)}")


def _check_text(place: str, text: str) -> None:
    if not is_text(text):
        raise InvalidInputError(f"{place}: {shown(text)} holds half a surrogate pair, not text")


def _check_filters(parts: Iterable[object]) -> None:
    for part in parts:
        if not isinstance(part, FILTERS):
            raise InvalidInputError(f"where: a filter is expected, got {shown(part)}")


def _checked_parts(parts: Iterable[Filter]) -> tuple[Filter, ...]:
    check_many("where: parts", parts, "filters")
    kept = tuple(parts)
    if not kept:
        raise InvalidInputError("where: an empty filter")
    _check_filters(kept)
    return kept


def plain_value(column: str, value: Any) -> Value:
    """A value as columns hold it: of numpy's scalars and members of enumerations what they stand for.

    Raises:
        InvalidInputError: for anything else. A day is not a point in time, so neither is made a text here.
    """
    if isinstance(value, Enum):  # as documents are read
        return plain_value(column, value.value)
    plain = value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufU" else value
    if isinstance(plain, int) and abs(plain) > _LARGEST:
        raise InvalidInputError(f"where: {column}: a number of more than 400 digits")
    if type(plain) in _VALUES:
        return plain  # type: ignore[no-any-return]
    if isinstance(plain, str):  # a member of an enumeration looks like no other text
        return str.__str__(plain)
    if isinstance(plain, int | float):
        return int(plain) if isinstance(plain, int) else float(plain)
    advice = "; pass the text that it is kept as (isoformat)" if hasattr(plain, "isoformat") else ""
    raise InvalidInputError(f"where: {column}: {shown(value)} is neither text, number nor bool{advice}")


def _plain_values(column: str, values: Iterable[Any]) -> tuple[Value, ...]:
    """Many values, by their types: a million take a moment."""
    found = tuple(values)
    kinds = set(map(type, found))
    if not kinds <= _VALUES:
        return tuple(plain_value(column, v) for v in found)
    if int in kinds:
        numbers = [value for value in found if type(value) is int]
        for end in (min(numbers), max(numbers)):
            plain_value(column, end)
    return found


def columns_of(part: Filter) -> set[str]:
    """The names of the columns that a filter asks about; the text columns of words are not among them."""
    if isinstance(part, Leaf):
        return {part.column}
    return set().union(*(columns_of(inner) for inner in parts_of(part)))


def parts_of(part: Filter) -> tuple[Filter, ...]:
    """The filters that a filter is made of; none of a comparison."""
    if isinstance(part, Not | Sure):
        return (part.part,)
    return part.parts if isinstance(part, Every | Some) else ()


def between(column: str, low: Value, high: Value) -> Filter:
    """`column between low and high`, both included."""
    return Every((Compare(column, ">=", low), Compare(column, "<=", high)))


def all_of(parts: list[Filter]) -> Filter:
    """One filter that is true where all of these are; there is at least one."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))
