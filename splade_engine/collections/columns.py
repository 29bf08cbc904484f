"""Types of the columns of CSV and TSV files, whose cells are all written as text.

A column has a type that all of its cells have, and that says as much as they do: whole numbers, numbers, true
and false, dates. Where one cell is of another kind, or a number would be written in another way ("007",
"+49 30", "1e5", the version 1.10 beside 1.9), the column is text. So the file is read once before its first
document. An empty cell is a missing value.

The types of some columns can be given, and columns that an index has already keep theirs. Ids, titles and
texts are text, always.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from splade_engine.collections.documents import ID_NAMES, Document, document_from_record, id_and_text, shown
from splade_engine.collections.passages import PARENT
from splade_engine.errors import DatasetError, InvalidInputError

COLUMN_TYPES = ("int", "float", "bool", "date", "text")
_NO = {
    "int": "no whole number of at most 64 bits",
    "float": "no number",
    "bool": "neither true nor false",
    "date": "no date or time of ISO 8601",
    "texts": "no list of texts, which a cell cannot hold",
}
_NUMBERS = {"int", "float"}

Cells = Iterator[tuple[int, dict[str, str]]]  # the number of the line, and the cells by column


class ColumnTypes:
    """The types of the columns of one file; found when it is first read, and then kept.

    Args:
        given: column -> one of `COLUMN_TYPES`; the types of the others are found in the file.
        find: whether they are; else all columns stay as they are written.

    Attributes:
        told: what types the columns have, and why one is text; "" before the file was read, and where all
            columns are id, title and text.

    Raises:
        InvalidInputError: a type that there is not.
    """

    def __init__(self, given: Mapping[str, str] | None = None, *, find: bool = True) -> None:
        self.given = _checked(given)
        self.told = ""
        self._find = find
        self._index: dict[str, str] = {}
        self._found: dict[str, str] | None = None

    def of_index(self, columns: Mapping[str, str]) -> ColumnTypes:
        """The same, where columns that the index has keep the types that they have there.

        Args:
            columns: `IndexInfo.columns`.

        Returns:
            These types themselves, where they are found and are those of the index.
        """
        if not self._find or (self._found is not None and self._agree(columns)):
            return self
        types = ColumnTypes(self.given)
        types._index = dict(columns)
        return types

    def documents(self, rows: Callable[[], Cells], place: str) -> Iterator[tuple[int, Document]]:
        """The documents of a file, each with its line.

        Args:
            rows: reads the file from its beginning.
            place: its name.

        Raises:
            DatasetError: naming file and line of a cell that is not of the type that its column has; and
                as `document_from_record`.
        """
        if self._found is None:
            self._found = self._types(rows, place) if self._find else {}
        types = self._found
        for number, row in rows():
            here = f"{place}:{number}"
            record: dict[str, object] = dict(row)
            for name, kind in types.items():
                record[name] = self._value(name, row[name], kind, here)
            yield number, document_from_record(record, here)

    def refuse(self, place: str) -> None:
        """Refuse types for a source whose values have types of their own.

        Raises:
            DatasetError: types were given.
        """
        if self.given:
            raise DatasetError(
                f"{place}: a type is given for {next(iter(self.given))!r:.60}; only the columns of CSV and "
                "TSV files take types"
            )

    def _agree(self, columns: Mapping[str, str]) -> bool:
        return all(
            _held(kind, columns.get(name), name in self.given) == kind
            for name, kind in (self._found or {}).items()
        )

    def _types(self, rows: Callable[[], Cells], place: str) -> dict[str, str]:
        """The type of every column that is metadata; `told` says them, and why one is text."""
        columns: dict[str, _Column] = {}
        unsure: dict[str, _Column] = {}
        for at, (number, row) in enumerate(rows()):
            if at == 0:
                columns = {name: _Column() for name in self._free(row, f"{place}:{number}")}
                unsure = {name: column for name, column in columns.items() if name not in self.given}
            if not unsure:
                break
            text = [name for name, column in unsure.items() if not column.takes(row[name].strip(), number)]
            for name in text:
                del unsure[name]
        types, told = {}, []
        for name, column in columns.items():
            kind, why = column.type()
            types[name] = self.given.get(name) or _held(kind, self._index.get(name), False)
            why = why if types[name] == kind and name not in self.given else ""
            told.append(f"{name or shown(name)} {types[name]}" + (f" ({why})" if why else ""))
        if told:
            self.told = f"{place}: types of columns: {', '.join(told)}; --types or types= gives others"
        return types

    def _free(self, row: Mapping[str, str], here: str) -> list[str]:
        """The columns that are metadata, of which types may be given."""
        fixed = {*id_and_text(row, here), "title", PARENT, *ID_NAMES}
        for name, kind in self.given.items():
            if name not in row:
                raise DatasetError(
                    f"{here}: a type is given for {name!r:.60}; the columns are {', '.join(row):.200}"
                )
            if name in fixed and kind != "text":
                raise DatasetError(
                    f"{here}: the column {name!r:.60} is text, and no type can be given for it"
                )
        return [name for name in row if name not in fixed]

    def _value(self, name: str, cell: str, kind: str, here: str) -> object:
        if kind == "text":
            return cell or None
        bare = cell.strip()
        if not bare:
            return None
        given = name in self.given
        value = _read(bare, kind, loosely=given)
        if value is None:
            why = "the type that was given" if given else "its type in the index"
            raise DatasetError(
                f"{here}: the column {name!r:.60} holds {shown(cell)}, {_NO[kind]} ({kind} is {why})"
            )
        return value


def _checked(given: Mapping[str, str] | None) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"types: must be a mapping of columns to types, got {type(given).__name__}")
    for name, kind in given.items():
        if not isinstance(name, str) or kind not in COLUMN_TYPES:
            raise InvalidInputError(
                f"types: {shown(name)} is to be {shown(kind)}; a column is one of {', '.join(COLUMN_TYPES)}"
            )
    return {name.strip().lower(): kind for name, kind in given.items()}  # as headers are read


def _held(kind: str, held: str | None, given: bool) -> str:
    """The type of a column of this type whose documents are added to an index that has it as `held`."""
    if given or held is None or {kind, held} <= _NUMBERS or (kind, held) == ("date", "text"):
        return kind
    return held


# ---- what cells say ---------------------------------------------------------------------------------------

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
# an exponent has a sign, as programs write it: 1e5 may be the name of something
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?(?:e[+-][0-9]+)?", re.IGNORECASE)
_LOOSE_WHOLE = re.compile(r"[+-]?[0-9]+")
_LOOSE_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
_TRUTH = {"true": True, "false": False}
_LOOSE_TRUTH = {**_TRUTH, "yes": True, "no": False, "1": True, "0": False}
_DIGITS = 17  # what a number of 64 bits tells apart
_EXACT = 2**53  # so are whole numbers beside fractions


def _read(cell: str, kind: str, *, loosely: bool) -> object:
    """The value of a cell as a type; None where it is none of that type."""
    if kind == "bool":
        return (_LOOSE_TRUTH if loosely else _TRUTH).get(cell.lower())
    if kind == "date":
        return _iso(cell)
    if kind in _NUMBERS:
        if kind == "int" and (_LOOSE_WHOLE if loosely else _WHOLE).fullmatch(cell):
            return int(cell) if len(cell) < 25 and -(2**63) <= int(cell) < 2**63 else None
        # an index of whole numbers takes a fraction too, as it does from other sources
        if (kind == "float" or not loosely) and (_LOOSE_NUMBER if loosely else _NUMBER).fullmatch(cell):
            return value if math.isfinite(value := float(cell)) else None
    return None


def _iso(cell: str) -> str | None:
    """A date or time as ISO 8601 writes it, with a T between the two; None for none."""
    if not _DATE.fullmatch(cell):
        return None
    try:
        datetime.fromisoformat(cell)
    except ValueError:  # 30 February
        return None
    return cell.replace(" ", "T")


class _Column:
    """The cells of a column so far, and the type that they share."""

    def __init__(self) -> None:
        self._kind = ""  # no cell yet
        self._large = ""  # a whole number that a fraction beside it would change
        self._padded = ""  # a number that ends in a zero: 1.10
        self._decimals: set[int] = set()
        self._why = ""

    def takes(self, cell: str, line: int) -> bool:
        """Look at one more cell, without space around it; whether the column may be more than text."""
        if not cell:
            return True
        kind = self._kind_of(cell)
        if {kind, self._kind} <= _NUMBERS:
            kind = "float" if kind != self._kind else kind
        elif self._kind not in ("", kind):
            kind = "text"
        if kind == "text" and self._kind:
            self._why = f"{shown(cell)} in line {line}"
        self._kind = kind
        return kind != "text"

    def type(self) -> tuple[str, str]:
        """The type of the column, and why it is text where most of its cells were more."""
        if self._kind == "float" and self._padded and len(self._decimals) > 1:
            return "text", f"{self._padded} may be a version"
        if self._kind == "float" and self._large:
            return "text", f"{self._large} has more digits than a number with a fraction can hold"
        return self._kind or "text", self._why

    def _kind_of(self, cell: str) -> str:
        if _WHOLE.fullmatch(cell):
            if len(cell) > 20 or not -(2**63) <= int(cell) < 2**63:
                return "text"
            self._decimals.add(0)
            if abs(int(cell)) > _EXACT:
                self._large = cell
            return "int"
        if match := _NUMBER.fullmatch(cell):
            fraction = match[1] or ""
            if cell == "-0":
                return "text"
            digits = re.split("[eE]", cell)[0].replace(".", "").lstrip("-0")
            if len(digits) > _DIGITS or not math.isfinite(float(cell)):
                return "text"
            self._decimals.add(len(fraction))
            if len(fraction) > 1 and fraction.endswith("0"):
                self._padded = cell
            return "float"
        if cell.lower() in _TRUTH:
            return "bool"
        return "date" if _iso(cell) else "text"
