"""Fields within objects: `author.name` where a document came with `{"author": {"name": "Ada"}}`.

Values that no typed column holds are kept as JSON in one text column. A filter that names a path into them
reads that column once; its answer is kept like that of any other filter (`search.allowed_documents`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa

from splade_engine.plain_text import is_text

JSON_COLUMN = "_json"  # holds one JSON object per document, or null
_TYPES: dict[str, pa.DataType] = {
    "text": pa.large_string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "texts": pa.large_list(pa.large_string()),
}


def is_nested(name: str) -> bool:
    """Whether a name is a path into an object."""
    return "." in name.strip(".")


def kind_of_type(arrow: pa.DataType) -> str | None:
    """The kind of the values of a column of this type; None for one without values."""
    return next((kind for kind, type_ in _TYPES.items() if type_ == arrow), None)


class NestedKinds:
    """The kinds of the values at paths into objects, over all segments, remembered."""

    def __init__(self, tables: Sequence[pa.Table | None], columns: Iterable[tuple[str, str]]) -> None:
        """Of these payloads; `columns` are name and type of every typed column of every segment."""
        self._columns = [column for column in columns if column[1] in _TYPES]
        self._at = lru_cache(maxsize=256)(partial(nested_kind, tables))

    def of(self, name: str) -> str | None:
        """One of the keys of `_TYPES`; None where the path leads nowhere, or the name is no path.

        Where the name is a column of some segments too, the type of that column.
        """
        if not is_nested(name):
            return None
        columns = {kind for column, kind in self._columns if column == name}
        if columns:
            return "float" if "float" in columns else min(columns)
        return self._at(name)


def nested_kind(tables: Iterable[pa.Table | None], path: str) -> str | None:
    """The kind of most of the values at a path, over all these tables; None where no document has one.

    Lists on the way are looked into: `authors.name` of a list of authors is the list of their names.
    """
    kinds = Counter(_kind(value) for table in tables for value in _values(table, path))
    del kinds[""]
    if not kinds:
        return None
    numbers = kinds["int"] + kinds["large"] + kinds["float"]
    kind = max(("text", "bool", "texts"), key=lambda name: kinds[name])
    if numbers >= kinds[kind]:
        kind = "float" if kinds["float"] else "int"
    return kind


def nested_column(table: pa.Table | None, path: str, kind: str | None) -> pa.Array | None:
    """The values of a path that are of this kind, others null; None where the table has no objects.

    Args:
        table: of one segment.
        path: names with dots between them.
        kind: from `nested_kind` of all segments, so that each compares with values of the same type.
    """
    values = _values(table, path)
    if kind is None or not values:
        return None
    fits = {"float": {"int", "float"}, "int": {"int", "large"}}.get(kind, {kind})
    return pa.array([value if _kind(value) in fits else None for value in values], _TYPES[kind])


def _values(table: pa.Table | None, path: str) -> list[Any]:
    """What each document has at a path."""
    if table is None or JSON_COLUMN not in table.column_names:
        return []
    steps = path.split(".")
    # A line without the name needs no parsing. In JSON a letter beyond ASCII or a quote is written otherwise.
    plain = json.dumps(steps[0]) == f'"{steps[0]}"'
    first = f'"{steps[0]}' if plain else ""
    return [
        _value(json.loads(line), steps) if line and first in line else None
        for line in table.column(JSON_COLUMN).to_pylist()
    ]


def _value(value: Any, steps: list[str]) -> Any:
    """What stands at the end of a path; of a list, those ends of its items that are texts.

    A name may hold dots itself, as in `{"a.b": {"c": 1}}`.
    """
    if not steps:
        return value
    if isinstance(value, list):
        ends = [_value(item, steps) for item in value]
        return [end for end in ends if isinstance(end, str)] or None
    if not isinstance(value, dict):
        return None
    most = 1 + max((name.count(".") for name in value), default=0)
    for n in range(1, min(most, len(steps)) + 1):
        found = _value(value.get(".".join(steps[:n])), steps[n:])
        if found is not None:
            return found
    return None


def _kind(value: Any) -> str:
    """The kind of one value: of `_TYPES`, "large" for a whole number that no float holds, "" for no kind."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -(2**53) <= value <= 2**53:
            return "int"
        return "large" if -(2**63) <= value < 2**63 else ""
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text" if is_text(value) else ""
    is_texts = isinstance(value, list) and all(isinstance(item, str) and is_text(item) for item in value)
    return "texts" if is_texts else ""
