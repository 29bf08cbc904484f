"""Metadata fields as typed columns beside title and text: which kind each one has, and the columns.

A field becomes a column of the index's payload, so that it can be filtered, of the kind (text, whole numbers,
numbers, true/false, lists of text) that most of its values have. A value of another kind ("unknown" among
years) stays in the text column `METADATA_JSON`: it comes back with the hit, its neighbours can be filtered,
and the log tells. The same holds for values of no such kind (objects, whole numbers beyond 64 bits).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from splade_engine.collections.folders import is_state
from splade_engine.collections.metadata import FILE_STATE, METADATA_JSON, RESERVED, metadata_json
from splade_engine.errors import DatasetError
from splade_engine.plain_text import is_text

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 400  # the format allows 512; fields beyond are kept as JSON
KINDS = ("text", "int", "float", "bool", "texts")  # of a column; every other value is "json"
_NUMBERS = {"int", "float"}
_EXACT_IN_FLOAT = 2**53  # beyond, a column of numbers with a fraction would change a whole number

FieldKinds = dict[str, str]  # field -> one of KINDS, or "json" where no value has such a kind


@dataclass
class _Values:
    """The values that one field has in a corpus."""

    # how many there are of each kind; "large" are whole numbers that only a column of whole numbers holds
    counts: Counter[str] = field(default_factory=Counter)
    # kind -> the id of the first document with such a value, and the value
    first: dict[str, tuple[str, str]] = field(default_factory=dict)

    def kind(self, column: str | None) -> str:
        """The kind of a column that holds as many of them as possible.

        Args:
            column: the kind of the index's column of that name, None where it has none. If one value fits, it
                decides.
        """
        numbers = self.counts["int"] + self.counts["large"] + self.counts["float"]
        if column in _NUMBERS and numbers:
            fractions = self.counts["float"] or (column == "float" and self.counts["large"])
            return "float" if fractions else "int"
        if column in KINDS and self.counts[column]:
            return column
        found = {kind: self.counts[kind] for kind in ("text", "bool", "texts")} | {"number": numbers}
        best = max(found.values())
        if not best:
            return "json"
        kind = next(k for k in self._in_order() if found.get(k) == best)
        return kind if kind != "number" else "float" if self.counts["float"] else "int"

    def _in_order(self) -> list[str]:
        return ["number" if kind in ("int", "large", "float") else kind for kind in self.first]

    def misfits(self, kind: str) -> list[str]:
        """The kinds of the values that a column of this kind does not hold."""
        return [k for k in self.first if not _fits(k, kind)]


def _fits(value: str, column: str) -> bool:
    if column == "float":
        return value in _NUMBERS
    return value == column or (column == "int" and value == "large")


class FieldSurvey:
    """The metadata fields of a corpus, counted document by document."""

    def __init__(self) -> None:
        self._fields: dict[str, _Values] = {}

    def note(self, doc_id: str, metadata: Mapping[str, object]) -> None:
        """Count the fields of one more document."""
        for name, value in metadata.items():
            if value is None:
                continue
            values = self._fields.get(name)
            if values is None:
                values = self._fields[name] = _Values()
            kind = _kind(name, value)
            if not values.counts[kind]:
                values.first[kind] = (doc_id, _shown(value))
            values.counts[kind] += 1

    def kinds(self, columns: Mapping[str, str] | None = None) -> FieldKinds:
        """The kind of every field, in the order in which they first occurred.

        Args:
            columns: name and kind of the columns of the index that the corpus is added to: where one value of
                a field fits its column, the column decides.

        Raises:
            DatasetError: where no value of a field is of the kind of its column, naming one of them.
        """
        columns = columns or {}
        misfit = self.misfit(columns)
        if misfit is not None:
            raise DatasetError(misfit[1])
        room = MAX_COLUMNS - len([name for name in columns if name not in RESERVED])
        kinds: FieldKinds = {}
        for name, values in self._fields.items():
            kind = values.kind(columns.get(name))
            if kind != "json" and name not in columns:
                kind, room = (kind, room - 1) if room > 0 else ("json", room)
            kinds[name] = kind
        return kinds

    def misfit(
        self, columns: Mapping[str, str], is_beyond_float: Callable[[str], bool] = lambda name: False
    ) -> tuple[str, str] | None:
        """The id of a document with a field that its column in an index cannot take in, and what it is.

        That is a field of which no value fits the column, and a fraction for whole numbers beyond 2^53.

        Args:
            columns: see `kinds`.
            is_beyond_float: whether a column of whole numbers holds such numbers; asked where it matters.
        """
        for name, values in self._fields.items():
            column = columns.get(name)
            kind = values.kind(column)
            if column == "int" and kind == "float" and is_beyond_float(name):
                doc_id, shown = values.first["float"]
                return doc_id, (
                    f"document {doc_id!r:.80}: field {name!r:.80} is {shown}, but in the index it holds "
                    "whole numbers beyond 2^53, which no column of fractions holds exactly"
                )
            if kind != "json" and column in KINDS and kind != column and not {kind, column} <= _NUMBERS:
                doc_id, shown = next(v for k, v in values.first.items() if k != "json")
                return doc_id, (
                    f"document {doc_id!r:.80}: field {name!r:.80} is {shown}, but in the index it holds "
                    f"{_PLURAL[column]}"
                )
        return None

    def warnings(self, kinds: FieldKinds, columns: Mapping[str, str] | None = None) -> list[str]:
        """One line for each field with values that cannot be filtered if the fields are of these kinds.

        Of many fields the first twenty, and how many more there are.

        Args:
            kinds: of every field.
            columns: of the index that the corpus is added to: a field of which it has a column is filtered by
                that, though no value fits.
        """
        lines: list[str] = []
        more = 0
        columns = columns or {}
        for name, values in self._fields.items():
            kind = kinds[name]
            if kind == "json" and columns.get(name) in KINDS:
                kind = columns[name]
            misfits = values.misfits(kind)
            if not misfits:
                continue
            if len(lines) == _MOST_WARNINGS:
                more += 1
                continue
            count = sum(values.counts[misfit] for misfit in misfits)
            doc_id, shown = values.first[misfits[0]]
            example = f"{shown} in document {doc_id!r:.80}"
            lines.append(
                f"field {name!r:.80}: cannot be filtered ({count} values, such as {example}); kept as it is"
                if kind == "json"
                else f"field {name!r:.80}: {count} of {values.counts.total()} values are not {_PLURAL[kind]} "
                f"({example}); they are kept, but count as missing in filters"
            )
        return [*lines, f"{more:,} more fields hold values that cannot be filtered"] if more else lines


_MOST_WARNINGS = 20
_PLURAL = {
    "text": "text",
    "int": "whole numbers",
    "float": "numbers",
    "bool": "true or false",
    "texts": "lists of text",
}


def _kind(name: str, value: object) -> str:
    """The kind of one value: of KINDS, "large" for a whole number beyond 2^53, or "json"."""
    if not name or name in RESERVED or len(name) > 256 or not is_text(name):
        return "json"
    if name == FILE_STATE and not is_state(value):  # a document's own, which hits would not show as a column
        return "json"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -_EXACT_IN_FLOAT <= value <= _EXACT_IN_FLOAT:
            return "int"
        return "large" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text" if is_text(value) else "json"
    if isinstance(value, list) and all(isinstance(item, str) and is_text(item) for item in value):
        return "texts"
    return "json"


def _shown(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def payload_table(titles: Any, texts: Any, metadata: Iterable[str], kinds: FieldKinds) -> pa.Table:
    """Columns title, text, one per typed field, and `METADATA_JSON` for the values that are in none.

    Args:
        titles: Arrow column of text.
        texts: the same.
        metadata: `metadata_json` of each document.
        kinds: of every field that occurs, from `FieldSurvey.kinds`.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"title": titles, "text": texts}
    if kinds:
        given = (json.loads(line) if line else {} for line in metadata)
        rows = [{name: value for name, value in row.items() if value is not None} for row in given]
        arrow = {
            "text": pa.large_string(),
            "int": pa.int64(),
            "float": pa.float64(),
            "bool": pa.bool_(),
            "texts": pa.large_list(pa.large_string()),
        }
        for name, kind in kinds.items():
            if kind in arrow:
                columns[name] = pa.array([_taken(row, name, kind) for row in rows], arrow[kind])
        if any(rows):
            columns[METADATA_JSON] = pa.array([metadata_json(row) or None for row in rows], pa.large_string())
    return pa.table(columns)


def _taken(row: dict[str, Any], name: str, kind: str) -> Any:
    """Take a value out of a row if a column of this kind holds it."""
    value = row.get(name)
    if value is None or not _fits(_kind(name, value), kind):
        return None
    del row[name]
    return float(value) if kind == "float" else value
