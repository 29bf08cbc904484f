"""Metadata of documents: the values that JSON has, a line of JSON, and what a payload row holds of it.

None, NaN and NaT (as pandas writes what is missing) and a field that is not there are the same. Dates, times,
paths and decimal numbers become text, a member of an enumeration its value, numpy's scalars and arrays what
Python has in their place. Infinity is refused: JSON has no such number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np

from splade_engine.errors import DatasetError
from splade_engine.plain_text import is_text

METADATA_JSON = "_json"
RESERVED = ("title", "text", METADATA_JSON)
# the column that tells how a document was cut, and by which `sync` knows a file's content again; hits do not
# show it
FILE_STATE = "_sync"
HIDDEN = (*RESERVED, FILE_STATE)  # what a document's metadata does not show
_MOST_BITS = 14_000  # 4,300 digits hold a little more


def metadata_json(metadata: Mapping[str, object]) -> str:
    """Metadata as one line of JSON with sorted keys, "" for none.

    Raises:
        DatasetError: naming the value that JSON cannot hold.
    """
    if not metadata:
        return ""
    try:
        return json.dumps(dict(metadata), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DatasetError(f"metadata {dict(metadata)!r:.200}: {error}") from None


def parsed_metadata(line: str) -> dict[str, Any]:
    """The metadata of which `metadata_json` made a line."""
    metadata: dict[str, Any] = json.loads(line) if line else {}
    return metadata


def checked_metadata(metadata: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The metadata without what is missing, NaN included.

    Raises:
        DatasetError: at `place`, for a name that is no text or holds half a surrogate pair, and a value that
            JSON does not have.
    """
    if not isinstance(metadata, Mapping):
        raise DatasetError(f"{place}: metadata must be a mapping, got {type(metadata).__name__}")
    kept = {}
    for name, value in metadata.items():
        if not isinstance(name, str):
            raise DatasetError(f"{place}: the name of a field must be a text, got {type(name).__name__}")
        if not is_text(name):
            raise DatasetError(f"{place}: the field name {name!a:.60} holds half a surrogate pair, not text")
        try:
            kept[plain_text(name)] = _finite(value)
        except _Foreign as error:
            raise DatasetError(
                f"{place}: the field {name!r:.60} holds {error}, which JSON does not have"
            ) from None
        except RecursionError:
            raise DatasetError(f"{place}: metadata nested too deeply") from None
    return {name: value for name, value in kept.items() if value is not None}


def is_missing(value: object) -> bool:
    """Whether it stands for no value: None, or what pandas has in its place, NaN, NaT and NA."""
    if isinstance(value, float | datetime):  # NaT is a datetime
        return value != value
    return value is None or type(value).__name__ == "NAType"


def plain_text(value: str) -> str:
    """A text as Python's own: a member of an enumeration or a text of numpy is shown in another way."""
    return value if type(value) is str else str.__str__(value)


class _Foreign(Exception):
    """What a value is that JSON does not have."""


def _finite(value: Any) -> Any:
    """A value as JSON has it: None for NaN, also within lists and objects; _Foreign where it has none."""
    if isinstance(value, Enum):
        return _finite(value.value)
    if isinstance(value, str | bool):
        return value if isinstance(value, bool) else plain_text(value)
    if is_missing(value):
        return None
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise _Foreign("an object with a name that is no text")
        if not all(map(is_text, value)):
            raise _Foreign("an object with half a surrogate pair in a name")
        return {plain_text(name): _finite(item) for name, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return _of_numpy(value)
    return _of_a_class(value)


def _number(value: int | float) -> int | float:
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:  # Python would not write its digits either
            raise _Foreign("a number of thousands of digits")
        return int(value)
    if math.isinf(value):
        raise _Foreign("an infinite number")
    return float(value)


def _of_a_class(value: Any) -> Any:
    """Times, durations in seconds, decimal numbers, paths."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal) and not value.is_finite():
        return _number(math.inf) if value.is_infinite() else None
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, PurePath):
        if not is_text(str(value)):
            raise _Foreign("a path that is no text")
        return str(value)
    raise _Foreign(type(value).__name__)


def _of_numpy(value: Any) -> Any:
    """A scalar or an array as Python's own values."""
    if value.dtype.kind == "M":  # numpy gives whole numbers for the times that datetime cannot hold
        texts = np.array(np.datetime_as_string(value), dtype=object)
        texts[np.isnat(value)] = None
        return _finite(texts.tolist())
    if value.dtype.kind == "m":  # and for durations of nanoseconds, months and years
        unit, _ = np.datetime_data(value.dtype)
        if np.isnat(value).all():
            return np.full(value.shape, None).tolist()
        if unit in ("Y", "M", "generic"):
            raise _Foreign("a duration of no certain length")
        return _finite((value / np.timedelta64(1, "s")).tolist())
    if value.dtype.kind == "f" and value.dtype.itemsize > 8:  # wider than Python's numbers
        with np.errstate(over="ignore"):
            value = value.astype(np.float64)
    elif value.dtype.kind == "c":
        raise _Foreign("complex")
    elif value.dtype.names and not value.shape:  # a row of a structured array
        return _finite({name: value[name] for name in value.dtype.names})
    return _finite(value.tolist())


def value_text(value: object) -> str:
    """A value of metadata as a line of text: a text as it is, None as nothing, others as JSON has them."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def metadata_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata in a payload row: every column but title and text that has a value."""
    metadata = {k: v for k, v in row.items() if v is not None and k not in HIDDEN}
    rest = row.get(METADATA_JSON)
    return {**metadata, **json.loads(rest)} if rest else metadata


def document_parts(row: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Text, title and metadata in a payload row."""
    return row.get("text") or "", row.get("title") or "", metadata_of(row)
