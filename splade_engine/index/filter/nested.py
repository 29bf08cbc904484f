"""Fields within objects: `author.name` where a document came with `{"author": {"name": "Ada"}}`.

Values that no typed column holds are kept as JSON in one text column. A filter that names a path into them
reads that column once; its answer is kept like that of any other filter (`search.allowed_documents`).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa

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


def nested_column(table: pa.Table | None, path: str) -> pa.Array | None:
    """The values of a path, typed as most of them are, others null; None where no document has one.

    Lists on the way are looked into: `authors.name` of a list of authors is the list of their names.
    """
    if table is None or JSON_COLUMN not in table.column_names:
        return None
    steps = path.split(".")
    first = f'"{steps[0]}"'
    values = [
        _value(json.loads(line), steps) if line and first in line else None
        for line in table.column(JSON_COLUMN).to_pylist()
    ]
    kinds = Counter(_kind(value) for value in values if value is not None)
    del kinds[""]
    if not kinds:
        return None
    numbers = kinds["int"] + kinds["float"]
    kind = max(("text", "bool", "texts"), key=lambda name: kinds[name])
    if numbers >= kinds[kind]:
        kind = "float" if kinds["float"] else "int"
    fits = {"int", "float"} if kind == "float" else {kind}
    return pa.array([v if v is not None and _kind(v) in fits else None for v in values], _TYPES[kind])


def _value(value: Any, steps: list[str]) -> Any:
    """What stands at the end of a path; of a list, those ends of its items that are texts."""
    for place, step in enumerate(steps):
        if isinstance(value, list):
            ends = [_value(item, steps[place:]) for item in value]
            return [end for end in ends if isinstance(end, str)] or None
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else ""
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    return "texts" if isinstance(value, list) and all(isinstance(item, str) for item in value) else ""
