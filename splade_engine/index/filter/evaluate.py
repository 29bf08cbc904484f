"""Evaluating a metadata filter on the payload of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

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
    """bool[n_docs]: the documents for which the filter is true. A column that the table lacks is null
    throughout.

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
    if isinstance(part, IsNull):
        return column.is_null()
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    if pa.types.is_large_list(column.type):
        return _list_truth(part, column)
    if isinstance(part, In):
        if not part.values:
            return pc.if_else(column.is_valid(), False, None)
        found = pc.is_in(column, value_set=_values(part.column, column.type, part.values))
        return pc.if_else(column.is_valid(), found, None)
    if pa.types.is_boolean(column.type) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} is true or false: it takes = and != only")
    value = _values(part.column, column.type, [part.value])[0]
    return _FUNCTIONS[part.operator](column, value)


def _values(name: str, kind: pa.DataType, values: Sequence[Value]) -> pa.Array:
    """The values as an array to compare a column of this type with; int columns may meet floats."""
    for value in values:
        is_bool, is_number = isinstance(value, bool), isinstance(value, int | float)
        fits = (
            is_bool
            if pa.types.is_boolean(kind)
            else isinstance(value, str)
            if pa.types.is_large_string(kind)
            else is_number and not is_bool
        )
        if not fits:
            raise InvalidInputError(f"where: column {name!r} is of type {kind}, compared with {value!r:.60}")
    if pa.types.is_integer(kind) and any(isinstance(v, float) or abs(int(v)) >= 2**63 for v in values):
        kind = pa.float64()
    try:
        if pa.types.is_floating(kind):
            values = [float(v) for v in values]
        return pa.array(values, type=kind)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise InvalidInputError(f"where: column {name!r}: {error}") from None


def _list_truth(part: Compare | In, column: pa.Array) -> pa.Array:
    """Whether each list holds the value (`=`), one of the values (`in`), or not the value (`!=`)."""
    if isinstance(part, Compare) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} holds lists: it takes =, != and in only")
    values = part.values if isinstance(part, In) else (part.value,)
    holds = np.zeros(len(column), bool)
    if values:
        wanted = _values(part.column, pa.large_string(), values)
        hit = pc.is_in(column.flatten(), value_set=wanted).to_numpy(zero_copy_only=False)
        parents = pc.list_parent_indices(column).to_numpy()
        holds[parents[np.asarray(hit, dtype=bool)]] = True
    if isinstance(part, Compare) and part.operator == "!=":
        holds = ~holds
    return pc.if_else(column.is_valid(), pa.array(holds), None)
