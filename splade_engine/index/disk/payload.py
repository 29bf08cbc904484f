"""What is stored beside each document: title, text, metadata, as typed columns in the Arrow memory layout.

The buffers of the Arrow columnar format are written as sections of a container of ours, without Arrow's IPC
envelope: its parser crashes on damaged input (4.3 % of random one-bit flips ended in SIGSEGV), while these
buffers are checked by size before Arrow sees them and by `validate(full=True)` after. Columns are mapped, not
read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.arguments import first_twice
from splade_engine.errors import IndexCorruptError, InvalidInputError, reason_of
from splade_engine.index.disk.ids import text_buffers
from splade_engine.index.disk.records import ColumnRecord

COLUMN_TYPES: dict[str, pa.DataType] = {
    "text": pa.large_string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "texts": pa.large_list(pa.large_string()),
    "null": pa.null(),
}
_BUFFERS = {  # section suffix -> dtype, in Arrow's buffer order after the validity bitmap
    "text": {"offsets": "<i8", "bytes": "|u1"},
    "int": {"values": "<i8"},
    "float": {"values": "<f8"},
    "bool": {"values": "|u1"},
    "texts": {"offsets": "<i8", "item_offsets": "<i8", "bytes": "|u1"},
    "null": {},
}

MAX_COLUMNS = 512  # of an index
_EXACT_IN_FLOAT = 2**53

Arrays = Mapping[str, NDArray[Any]]


def payload_dtypes(columns: Sequence[ColumnRecord]) -> dict[str, str]:
    """Section name -> dtype of a payload file with these columns, in file order.

    Raises:
        IndexCorruptError: for a column type that the format does not have.
    """
    dtypes: dict[str, str] = {}
    for i, column in enumerate(columns):
        if column.type not in _BUFFERS:
            raise IndexCorruptError(f"payload: column {column.name!a}: no such type {column.type!a}")
        if column.nullable:
            dtypes[f"{i}.valid"] = "|u1"
        dtypes |= {f"{i}.{suffix}": dtype for suffix, dtype in _BUFFERS[column.type].items()}
    return dtypes


def checked_table(payload: object, n_docs: int) -> pa.Table | None:
    """The table with its columns converted to the types of the format (None where it has no column).

    Raises:
        InvalidInputError: if it is no table, has another number of rows, a column twice or of another type,
            or a null within a list.
    """
    if not isinstance(payload, pa.Table):
        raise InvalidInputError(f"payload: expected a pyarrow.Table, got {type(payload).__name__}")
    if payload.num_rows != n_docs:
        raise InvalidInputError(f"payload: {payload.num_rows} rows for {n_docs} documents")
    names = payload.column_names
    if len(set(names)) != len(names):
        raise InvalidInputError(f"payload: two columns are called {first_twice(names)!r}")
    if len(names) > MAX_COLUMNS:
        raise InvalidInputError(f"payload: {len(names)} columns, at most {MAX_COLUMNS} are allowed")
    columns = {}
    for name in names:
        if not name or len(name) > 1024:
            raise InvalidInputError(f"payload: a column name of {len(name)} characters")
        kind = column_type(name, payload.schema.field(name).type)
        try:
            columns[name] = _nan_is_missing(payload.column(name).cast(COLUMN_TYPES[kind]))
        except pa.ArrowInvalid as error:
            raise InvalidInputError(f"payload: column {name!r}: {reason_of(error)}") from None
        if kind == "texts":
            _refuse_null_items(name, columns[name])
    return pa.table(columns) if columns else None


def _refuse_null_items(name: str, lists: pa.ChunkedArray) -> None:
    missing = pc.is_null(pc.list_flatten(lists))
    if pc.any(missing).as_py():
        row = pc.list_parent_indices(lists)[pc.index(missing, True).as_py()].as_py()
        raise InvalidInputError(f"payload: column {name!r}, row {row}: a list of texts holds a null")


def _nan_is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """NaN, as pandas writes a missing number, is null: a filter would find it unequal to itself."""
    if not pa.types.is_floating(column.type):
        return column
    nan = pc.is_nan(column)
    return pc.if_else(nan, None, column) if pc.any(nan).as_py() else column


def column_type(name: str, arrow: pa.DataType) -> str:
    """The type of the format that holds an Arrow type.

    Raises:
        InvalidInputError: if none does.
    """
    types = pa.types
    if types.is_null(arrow):
        return "null"
    if types.is_boolean(arrow):
        return "bool"
    if types.is_integer(arrow):
        return "int"
    if types.is_floating(arrow):
        return "float"
    if _is_text(arrow) or (types.is_dictionary(arrow) and _is_text(arrow.value_type)):
        return "text"
    if (types.is_list(arrow) or types.is_large_list(arrow)) and _is_text(arrow.value_type):
        return "texts"
    raise InvalidInputError(
        f"payload: column {name!r} is of type {arrow}; stored are text, numbers, bool, lists of text"
    )


def _is_text(arrow: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow)
    )


class Payload:
    """The payload of one segment.

    Attributes:
        table: pyarrow.Table over the mapped buffers, one row per document.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @property
    def columns(self) -> tuple[ColumnRecord, ...]:
        """Name and type of each column."""
        records = []
        for field in self.table.schema:
            kind = column_type(field.name, field.type)
            nullable = kind != "null" and self.table.column(field.name).null_count > 0
            records.append(ColumnRecord(field.name, kind, nullable))
        return tuple(records)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The buffers as sections, in file order."""
        sections: dict[str, NDArray[Any]] = {}
        for i, (record, column) in enumerate(zip(self.columns, self.table.columns, strict=True)):
            if record.type == "null":
                continue
            if record.nullable:
                sections[f"{i}.valid"] = np.packbits(
                    np.asarray(column.is_valid().to_numpy(), dtype=bool), bitorder="little"
                )
            for suffix, array in _buffers(record.type, _one_chunk(column)).items():
                sections[f"{i}.{suffix}"] = array
        return sections

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, columns: Sequence[ColumnRecord], n_docs: int, *, full: bool
    ) -> Payload:
        """Wrap mapped sections, after checking sizes and offsets, and with `full` every value.

        Raises:
            IndexCorruptError: naming the column and the rule.
        """
        made = {}
        for i, record in enumerate(columns):
            try:
                column = _column(
                    record,
                    {n.split(".", 1)[1]: a for n, a in arrays.items() if n.startswith(f"{i}.")},
                    n_docs,
                )
                column.validate(full=full)
            except (ValueError, pa.ArrowException) as error:
                raise IndexCorruptError(f"payload: column {record.name!a}: {reason_of(error)}") from None
            made[record.name] = column
        return cls(pa.table(made))

    def rows(self, ordinals: NDArray[np.int64], without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The rows of these ordinals as dicts, but for some columns; a missing value is None."""
        table = self.table
        if without:
            table = table.select([name for name in table.column_names if name not in without])
        if not table.column_names:  # Arrow counts no rows where no column is left
            return [{} for _ in ordinals]
        rows: list[dict[str, Any]] = table.take(pa.array(ordinals)).to_pylist()
        return rows


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _buffers(kind: str, column: pa.Array) -> dict[str, NDArray[Any]]:
    """Content buffers of a column without the validity bitmap; what a null hides is zeroed or empty."""
    if isinstance(column, pa.ChunkedArray):  # combine_chunks of no chunk at all
        column = pa.array([], type=column.type)
    if kind == "bool":
        values = column.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
        return {"values": np.packbits(values, bitorder="little")}
    if kind in ("int", "float"):
        return {"values": column.fill_null(0).to_numpy(zero_copy_only=False)}
    if kind == "text":
        offsets, data = text_buffers(column.fill_null(""))
        return {"offsets": offsets, "bytes": data}
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    item_offsets, data = text_buffers(column.flatten())
    starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return {"offsets": starts, "item_offsets": item_offsets, "bytes": data}


def _column(record: ColumnRecord, arrays: Arrays, n: int) -> pa.Array:
    """An Arrow array over the sections of a column; ValueError where their sizes or offsets do not fit."""
    if record.type == "null":
        return pa.nulls(n)
    valid = None
    if record.nullable:
        _size(arrays["valid"], -(-n // 8), "validity")
        valid = pa.py_buffer(arrays["valid"])
    arrow = COLUMN_TYPES[record.type]
    if record.type == "texts":
        items = _text(arrays["item_offsets"], arrays["bytes"], len(arrays["item_offsets"]) - 1, None)
        _offsets(arrays["offsets"], n, len(items))
        return pa.Array.from_buffers(arrow, n, [valid, pa.py_buffer(arrays["offsets"])], children=[items])
    if record.type == "text":
        return _text(arrays["offsets"], arrays["bytes"], n, valid)
    _size(arrays["values"], -(-n // 8) if record.type == "bool" else n, "values")
    return pa.Array.from_buffers(arrow, n, [valid, pa.py_buffer(arrays["values"])])


def _text(offsets: NDArray[np.int64], data: NDArray[np.uint8], n: int, valid: pa.Buffer | None) -> pa.Array:
    _offsets(offsets, n, len(data))
    return pa.Array.from_buffers(pa.large_string(), n, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])


def _size(array: NDArray[Any], expected: int, what: str) -> None:
    if len(array) != expected:
        raise ValueError(f"{len(array)} {what}, expected {expected}")


def _offsets(offsets: NDArray[np.int64], n: int, end: int) -> None:
    if n < 0 or len(offsets) != n + 1:
        raise ValueError(f"{len(offsets)} offsets for {n} rows")
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise ValueError("the offsets do not rise from 0 to the end")


def join_tables(tables: Sequence[tuple[pa.Table | None, int]]) -> pa.Table | None:
    """Stack payloads of several segments or batches (None = no payload, with the number of its documents).

    Columns that one of them lacks are null there; int and float become float.

    Raises:
        InvalidInputError: if no type holds a column: numbers in one and text in another, or fractions in one
            and whole numbers beyond 2^53 in another.
    """
    if all(table is None for table, _ in tables):
        return None
    kinds: dict[str, str] = {}
    for table, _ in tables:
        for field in table.schema if table is not None else ():
            kinds[field.name] = joined_type(
                field.name, kinds.get(field.name), column_type(field.name, field.type)
            )
    columns: dict[str, Any] = {}
    for name, kind in kinds.items():
        arrow, chunks = COLUMN_TYPES[kind], []
        for table, rows in tables:
            if table is not None and name in table.column_names:
                if kind == "float" and beyond_float(table.column(name)):
                    raise InvalidInputError(_BEYOND_FLOAT.format(name))
                chunks.extend(table.column(name).cast(arrow).chunks)
            else:
                chunks.append(pa.nulls(rows, arrow))
        columns[name] = pa.chunked_array(chunks, type=arrow)
    return pa.table(columns)


_BEYOND_FLOAT = (
    "payload: column {!r} holds whole numbers beyond 2^53 in some documents and fractions in others; "
    "no type of the format holds both exactly"
)


def beyond_float(column: pa.ChunkedArray) -> bool:
    """Whether a column holds a whole number that a float would change, or might."""
    if not pa.types.is_integer(column.type) or not len(column):
        return False
    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is not None and (low < -_EXACT_IN_FLOAT or high > _EXACT_IN_FLOAT)


def check_joined(tables: Sequence[pa.Table]) -> None:
    """Check that the tables of all segments of an index can become one.

    Raises:
        InvalidInputError: naming the column that no type of the format holds, or for too many columns.
    """
    kinds: dict[str, str] = {}
    for table in tables:
        for field in table.schema:
            kind = column_type(field.name, field.type)
            kinds[field.name] = joined_type(field.name, kinds.get(field.name), kind)
    if len(kinds) > MAX_COLUMNS:
        raise InvalidInputError(f"payload: {len(kinds)} columns together, at most {MAX_COLUMNS} are allowed")
    for name in [name for name, kind in kinds.items() if kind == "float"]:
        if any(name in table.column_names and beyond_float(table.column(name)) for table in tables):
            raise InvalidInputError(_BEYOND_FLOAT.format(name))


def joined_type(name: str, a: str | None, b: str) -> str:
    """The type of a column that is `a` in one segment and `b` in another.

    Raises:
        InvalidInputError: if no type holds both.
    """
    if a is None or a == "null" or a == b:
        return b
    if b == "null":
        return a
    if {a, b} == {"int", "float"}:
        return "float"
    raise InvalidInputError(f"payload: column {name!r} is {a} in the index and {b} in the new documents")
