"""Evaluating a metadata filter on the payload of a segment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.parse import Compare, Every, Filter, In, IsNull, Not, Value

_FUNCTIONS = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def matching(part: Filter, table: pa.Table | None, n_docs: int) -> NDArray[np.bool_]:
    """bool[n_docs]: the documents for which the filter is true.

    A column that the table lacks is null throughout.

    Raises:
        InvalidInputError: where a column is compared with a value of another type.
    """
    truth = _truth(part, table, n_docs).fill_null(False)
    return np.asarray(truth.to_numpy(zero_copy_only=False), dtype=bool)


def _truth(part: Filter, table: pa.Table | None, n: int) -> pa.Array:
    """Boolean array with nulls where the answer is unknown (Kleene's logic, as in SQL)."""
    if isinstance(part, Not):
        return pc.invert(_truth(part.part, table, n))
    if isinstance(part, Compare | In | IsNull):
        if table is None or part.column not in table.column_names:
            return pa.repeat(pa.scalar(True), n) if isinstance(part, IsNull) else pa.nulls(n, pa.bool_())
        column = table.column(part.column)
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        return _column_truth(part, column)
    join = pc.and_kleene if isinstance(part, Every) else pc.or_kleene
    return reduce(join, (_truth(p, table, n) for p in part.parts))


def _column_truth(part: Compare | In | IsNull, column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), None, column)  # written by a release that kept them
    if isinstance(part, IsNull):
        return column.is_null()
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    if pa.types.is_large_list(column.type):
        return _list_truth(part, column)
    if isinstance(part, In):
        wanted = [v for v in _checked(part.column, column.type, part.values) if _is_exact(column.type, v)]
        if not wanted:
            return pc.if_else(column.is_valid(), False, None)
        found = pc.is_in(column, value_set=_array(part.column, column.type, wanted))
        return pc.if_else(column.is_valid(), found, None)
    if pa.types.is_boolean(column.type) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} is true or false: it takes = and != only")
    (value,) = _checked(part.column, column.type, (part.value,))
    operator = part.operator
    if not _is_exact(column.type, value):
        if operator in ("=", "!="):
            return pc.if_else(column.is_valid(), operator == "!=", None)
        operator, value = _between(column.type, operator, value)
    return _FUNCTIONS[operator](column, _array(part.column, column.type, [value])[0])


def _checked(name: str, kind: pa.DataType, values: Sequence[Value]) -> Sequence[Value]:
    """The values, each of which can be compared with a column of this type: whole and other numbers may meet.

    Raises:
        InvalidInputError: for a value of another type, and for NaN, which is no value.
    """
    for value in values:
        is_bool, is_number = isinstance(value, bool), isinstance(value, int | float)
        fits = (
            is_bool
            if pa.types.is_boolean(kind)
            else isinstance(value, str)
            if pa.types.is_large_string(kind)
            else is_number and not is_bool
        )
        if not fits or value != value:
            raise InvalidInputError(f"where: column {name!r} is of type {kind}, compared with {value!r:.60}")
    return values


def _is_exact(kind: pa.DataType, value: Value) -> bool:
    """Whether a column of this type can hold this value: 2.5 is no whole number, 2^53 + 1 no float."""
    if isinstance(value, str | bool):
        return True
    if pa.types.is_integer(kind):
        return value == _floor(value) and -(2**63) <= value < 2**63
    try:
        return float(value) == value
    except OverflowError:
        return False


def _between(kind: pa.DataType, operator: str, value: Any) -> tuple[str, int | float]:
    """The comparison with a value that the column can hold which is true of the same values of the column."""
    below = operator in ("<", "<=")
    if pa.types.is_integer(kind):
        whole = _floor(value)  # whole < value < whole + 1
        if whole >= 2**63 - 1:
            return ("<=", 2**63 - 1) if below else (">", 2**63 - 1)
        if whole < -(2**63):
            return ("<", -(2**63)) if below else (">=", -(2**63))
        return ("<=", whole) if below else (">", whole)
    try:
        nearest = float(value)
    except OverflowError:
        nearest = math.inf if value > 0 else -math.inf
    if nearest > value:
        return ("<", nearest) if below else (">=", nearest)
    return ("<=", nearest) if below else (">", nearest)


def _floor(value: Any) -> Any:
    return value if isinstance(value, int) or math.isinf(value) else math.floor(value)


def _array(name: str, kind: pa.DataType, values: Sequence[Value]) -> pa.Array:
    try:
        if pa.types.is_floating(kind):
            values = [float(v) for v in values]
        elif pa.types.is_integer(kind):
            values = [int(v) for v in values]
        return pa.array(values, type=kind)
    except (pa.ArrowException, UnicodeError) as error:
        raise InvalidInputError(f"where: column {name!r}: {error}") from None


def _list_truth(part: Compare | In, column: pa.Array) -> pa.Array:
    """Whether each list holds the value (`=`), one of the values (`in`), or not the value (`!=`)."""
    if isinstance(part, Compare) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} holds lists: it takes =, != and in only")
    values = part.values if isinstance(part, In) else (part.value,)
    holds = np.zeros(len(column), bool)
    if values:
        kind = pa.large_string()
        wanted = _array(part.column, kind, _checked(part.column, kind, values))
        hit = pc.is_in(column.flatten(), value_set=wanted).to_numpy(zero_copy_only=False)
        parents = pc.list_parent_indices(column).to_numpy()
        holds[parents[np.asarray(hit, dtype=bool)]] = True
    if isinstance(part, Compare) and part.operator == "!=":
        holds = ~holds
    return pc.if_else(column.is_valid(), pa.array(holds), None)
