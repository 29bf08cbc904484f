"""The rows of Arrow's batches as records: objects for its maps, and times that Python's own cannot hold.

Arrow counts times in nanoseconds and for millions of years, Python in microseconds and until the year 9999.
Such a time becomes the text that the others of its column become, and a duration its seconds.
"""

from __future__ import annotations

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
    counted = _counted(column.type)
    values: list[Any] = (column if counted == column.type else column.cast(counted)).to_pylist()
    return [_plain(value, column.type) for value in values] if _needs_a_look(column.type) else values


def _inner(kind: Any) -> list[Any]:
    """The fields within a type of lists, objects or maps."""
    return [kind.field(i) for i in range(kind.num_fields)]


def _is_time(kind: Any) -> Any:
    """Whether Python may not hold its values."""
    import pyarrow as pa

    types = pa.types
    return types.is_timestamp(kind) or types.is_duration(kind) or types.is_date(kind) or types.is_time64(kind)


def _needs_a_look(kind: Any) -> Any:
    import pyarrow as pa

    return _is_time(kind) or pa.types.is_map(kind) or any(_needs_a_look(field.type) for field in _inner(kind))


def _counted(kind: Any) -> Any:
    """The type with whole numbers in place of times."""
    import pyarrow as pa

    types = pa.types
    if _is_time(kind):
        return pa.int32() if types.is_date32(kind) else pa.int64()
    if not _needs_a_look(kind):
        return kind
    fields = [field.with_type(_counted(field.type)) for field in _inner(kind)]
    if types.is_struct(kind):
        return pa.struct(fields)
    if types.is_map(kind):
        return pa.map_(_counted(kind.key_type), _counted(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(fields[0], kind.list_size)
    if types.is_large_list(kind) or types.is_list(kind):
        return (pa.large_list if types.is_large_list(kind) else pa.list_)(fields[0])
    return kind


def _plain(value: Any, kind: Any) -> Any:
    """A value of `_counted`, which was of this type before."""
    import pyarrow as pa

    if value is None:
        return None
    if _is_time(kind):
        return _time(value, kind) if isinstance(value, int) else value
    types = pa.types
    if types.is_map(kind):
        pairs = [(_plain(key, kind.key_type), _plain(item, kind.item_type)) for key, item in value]
        names = {name for name, _ in pairs if isinstance(name, str)}
        return dict(pairs) if len(names) == len(pairs) else [list(pair) for pair in pairs]
    if types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in _inner(kind)}
    if isinstance(value, list):
        return [_plain(item, kind.value_type) for item in value]
    return value


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
