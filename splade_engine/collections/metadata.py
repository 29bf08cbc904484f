"""Metadata of documents as typed columns beside title and text, and back.

A field whose values are of one kind (text, whole numbers, numbers, true/false, lists of text) becomes a
column of the index's payload, so that it can be filtered. What has no such type (objects, mixed kinds) is
kept in the text column `METADATA_JSON`: it comes back with the hit but cannot be filtered. None and a
missing field are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from splade_engine.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_JSON = "_json"
RESERVED = ("title", "text", METADATA_JSON)
MAX_COLUMNS = 400  # the format allows 512; fields beyond are kept as JSON

FieldKinds = dict[str, str]  # field -> "text", "int", "float", "bool", "texts" or "json"


def metadata_json(metadata: Mapping[str, object]) -> str:
    """Metadata as one line of JSON with sorted keys, "" for none.

    Raises:
        DatasetError: naming the value that JSON cannot hold.
    """
    if not metadata:
        return ""
    try:
        return json.dumps(dict(metadata), sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"metadata {dict(metadata)!r}: {error}") from None


def note_kinds(kinds: FieldKinds, metadata: Mapping[str, object]) -> None:
    """Widen `kinds` so that it holds the fields of one more document."""
    for name, value in metadata.items():
        if value is None:
            continue
        kind = _kind(name, value)
        known = kinds.get(name)
        if known is None:
            kinds[name] = kind if len(kinds) < MAX_COLUMNS else "json"
        elif known != kind:
            kinds[name] = "float" if {known, kind} == {"int", "float"} else "json"


def _kind(name: str, value: object) -> str:
    if not name or name in RESERVED or len(name) > 256:
        return "json"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**53) <= value <= 2**53 else "json"  # beyond, a float column would change it
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text" if _is_utf8(value) else "json"
    if isinstance(value, list) and all(isinstance(item, str) and _is_utf8(item) for item in value):
        return "texts"
    return "json"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and Arrow cannot
        return False
    return True


def payload_table(titles: Any, texts: Any, metadata: Iterable[str], kinds: FieldKinds) -> pa.Table:
    """Columns title, text, one per typed field, and `METADATA_JSON` where a field has no type.

    Args:
        titles: Arrow column of text.
        texts: the same.
        metadata: `metadata_json` of each document.
        kinds: of every field that occurs, from `note_kinds`.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"title": titles, "text": texts}
    if kinds:
        rows = [json.loads(line) if line else {} for line in metadata]
        arrow = {
            "text": pa.large_string(),
            "int": pa.int64(),
            "float": pa.float64(),
            "bool": pa.bool_(),
            "texts": pa.large_list(pa.large_string()),
        }
        for name, kind in kinds.items():
            if kind in arrow:
                values = [row.pop(name, None) for row in rows]
                if kind == "float":
                    values = [None if value is None else float(value) for value in values]
                columns[name] = pa.array(values, arrow[kind])
        if "json" in kinds.values():
            columns[METADATA_JSON] = pa.array([metadata_json(row) or None for row in rows], pa.large_string())
    return pa.table(columns)


def metadata_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata in a payload row: every column but title and text that has a value."""
    metadata = {k: v for k, v in row.items() if k not in RESERVED and v is not None}
    rest = row.get(METADATA_JSON)
    return {**metadata, **json.loads(rest)} if rest else metadata
