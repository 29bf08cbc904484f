"""The rows of Arrow's batches as records: objects for its maps, and times that Python's own cannot hold.

Arrow counts times in nanoseconds and for millions of years, Python in microseconds and until the year 9999.
Such a time becomes the text that the others of its column become, and a duration its seconds.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_LONGEST = timedelta.max.days * 86_400  # seconds


def arrow_rows(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Its rows, with the values that `checked_metadata` takes.

    Raises:
        UnicodeDecodeError: a text is not UTF-8.
    """
    names = batch.column_names
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    if not _needs_a_look(column.type):
        values: list[Any] = column.to_pylist()
        return values
    return [_plain(scalar) for scalar in column]


def _inner(kind: Any) -> list[Any]:
    """The types within one: of what lists, objects and maps hold, and of values that are stored otherwise."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return [kind.value_type]
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    return [kind.field(i).type for i in range(kind.num_fields)]


def _is_time(kind: Any) -> Any:
    """Whether Python may not hold its values."""
    import pyarrow as pa

    types = pa.types
    return types.is_timestamp(kind) or types.is_duration(kind) or types.is_date(kind) or types.is_time64(kind)


@functools.lru_cache
def _needs_a_look(kind: Any) -> bool:
    import pyarrow as pa

    return bool(_is_time(kind) or pa.types.is_map(kind) or any(map(_needs_a_look, _inner(kind))))


def _plain(scalar: Any) -> Any:
    """A value as `checked_metadata` takes it."""
    import pyarrow as pa

    kind = scalar.type
    if not scalar.is_valid:
        return None
    if not _needs_a_look(kind):
        return scalar.as_py()
    if _is_time(kind):
        return _time(scalar.value, kind)
    if pa.types.is_map(kind):
        pairs = [(_plain(entry[0]), _plain(entry[1])) for entry in scalar.values]
        names = {name for name, _ in pairs if isinstance(name, str)}
        return dict(pairs) if len(names) == len(pairs) else [list(pair) for pair in pairs]
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _plain(scalar[i]) for i in range(kind.num_fields)}
    if hasattr(scalar, "values"):  # lists of all kinds
        return [_plain(item) for item in scalar.values]
    return _plain(scalar.value)  # of a dictionary, a run, a union, a type of somebody's own


def _time(count: int, kind: Any) -> str | float:
    """A time as ISO 8601 writes it, a duration in seconds."""
    import pyarrow as pa

    types = pa.types
    if types.is_date(kind):
        return str(np.datetime64(count if types.is_date32(kind) else count // 86_400_000, "D"))
    seconds, rest = divmod(count, _PER_SECOND[kind.unit])
    if types.is_duration(kind):
        return count / _PER_SECOND[kind.unit]
    nanoseconds = rest * 10**9 // _PER_SECOND[kind.unit]
    zone = _zone(kind.tz) if types.is_timestamp(kind) and kind.tz else None
    try:
        if abs(seconds) > _LONGEST:
            raise OverflowError
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        moment = moment.astimezone(zone or UTC)
    except OverflowError:  # a year that Python does not have
        return f"{np.datetime64(count, kind.unit)}{'+00:00' if zone else ''}"
    if nanoseconds % 1000:
        text = moment.isoformat(timespec="microseconds")
        text = f"{text[:26]}{nanoseconds % 1000:03}{text[26:]}"
    else:
        text = moment.isoformat()
    text = text if zone else text.removesuffix("+00:00")
    return text.partition("T")[2] if types.is_time64(kind) else text


def _zone(name: str) -> tzinfo:
    """A zone by its name; UTC where this machine does not know it, in which the same moment is written."""
    import pyarrow as pa

    try:
        zone: tzinfo = pa.lib.string_to_tzinfo(name)
    except (KeyError, pa.ArrowInvalid):
        return UTC
    return zone
