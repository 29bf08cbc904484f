"""What a filter is made of: a tree of frozen nodes, whichever way it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from splade_engine.arguments import check_many
from splade_engine.errors import InvalidInputError

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
MAX_DEPTH = 50  # nested parentheses or nots
Value = str | int | float | bool


@dataclass(frozen=True)
class Compare:
    """`column operator value`."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True)
class In:
    """`column in [values]`."""

    column: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        check_many(f"where: {self.column}: in", self.values, "values", ordered=False)


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
        if not isinstance(self.part, str):
            raise InvalidInputError(f"where: {self.column}: {self.how} takes a text, got {self.part!r:.60}")


@dataclass(frozen=True)
class IsNull:
    """`column is null`."""

    column: str


@dataclass(frozen=True)
class HoldsWords:
    """One of the text columns holds these words, one directly after the other (`filter/words.py`)."""

    # lower case
    words: tuple[str, ...]
    # whether the last one may go on: "refund" stands for "refunds" too
    prefix: bool = False


@dataclass(frozen=True)
class Not:
    """`not part`."""

    part: Filter


@dataclass(frozen=True)
class Sure:
    """`part`, and false where it is neither true nor false: the logic of filters that know no unknown."""

    part: Filter


@dataclass(frozen=True)
class Every:
    """`part and part and ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        check_many("where: parts", self.parts, "filters")


@dataclass(frozen=True)
class Some:
    """`part or part or ...`."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        check_many("where: parts", self.parts, "filters")


Leaf = Compare | In | Like | IsNull
Filter = Leaf | HoldsWords | Not | Sure | Every | Some
FILTERS = (Compare, In, Like, IsNull, HoldsWords, Not, Sure, Every, Some)
Where = str | Mapping[str, Any] | Filter  # what callers may write


def columns_of(part: Filter) -> set[str]:
    """The names of the columns that a filter asks about; the text columns of words are not among them."""
    if isinstance(part, Not | Sure):
        return columns_of(part.part)
    if isinstance(part, Every | Some):
        return set().union(*(columns_of(p) for p in part.parts))
    return set() if isinstance(part, HoldsWords) else {part.column}


def between(column: str, low: Value, high: Value) -> Filter:
    """`column between low and high`, both included."""
    return Every((Compare(column, ">=", low), Compare(column, "<=", high)))


def all_of(parts: list[Filter]) -> Filter:
    """One filter that is true where all of these are; there is at least one."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))
