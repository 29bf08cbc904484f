"""Evaluating a metadata filter on the payload of a segment."""

from __future__ import annotations

import math
import operator
import unicodedata
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.nested import is_nested, kind_of_type, nested_column, nested_kind
from splade_engine.index.filter.nodes import (
    Compare,
    Every,
    Filter,
    HoldsWords,
    In,
    IsNull,
    Leaf,
    Like,
    Not,
    Sure,
    Value,
    columns_of,
)
from splade_engine.index.filter.words import holding
from splade_engine.index.words.lists import WordLists
from splade_engine.index.words.text import TEXT_COLUMNS

_EXACT = 2**53  # whole numbers up to it are doubles too
# types of values of which none needs a look before it is compared with a column; a float may be NaN
_WITHOUT_DOUBT: dict[pa.DataType, set[type]] = {
    pa.bool_(): {bool},
    pa.large_string(): {str},
    pa.int64(): {int},
    pa.float64(): {int},
}
_FUNCTIONS = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def matching(
    part: Filter,
    table: pa.Table | None,
    n_docs: int,
    lists: WordLists | None = None,
    kinds: Mapping[str, str | None] | None = None,
) -> NDArray[np.bool_]:
    """bool[n_docs]: the documents for which the filter is true.

    A column that the table lacks is null throughout.

    Args:
        part: the filter.
        table: the payload of one segment.
        n_docs: of the segment.
        lists: its word lists.
        kinds: of the paths into objects that the filter names, over all segments; None for those of this one.

    Raises:
        InvalidInputError: where a column is compared with a value of another type.
    """
    if kinds is None:
        kinds = {name: nested_kind([table], name) for name in columns_of(part) if is_nested(name)}
    truth = _truth(part, table, n_docs, lists, kinds).fill_null(False)
    return np.asarray(truth.to_numpy(zero_copy_only=False), dtype=bool)


def _truth(
    part: Filter, table: pa.Table | None, n: int, lists: WordLists | None, kinds: Mapping[str, str | None]
) -> pa.Array:
    """Boolean array with nulls where the answer is unknown (Kleene's logic, as in SQL)."""
    if isinstance(part, Not):
        return pc.invert(_truth(part.part, table, n, lists, kinds))
    if isinstance(part, Sure):
        return _truth(part.part, table, n, lists, kinds).fill_null(False)
    if isinstance(part, HoldsWords):
        return pa.array(holding(part, table, n, lists))
    if isinstance(part, Leaf):
        column = stored_column(table, part.column, kinds.get(part.column))
        if column is None:
            return pa.repeat(pa.scalar(True), n) if isinstance(part, IsNull) else pa.nulls(n, pa.bool_())
        if isinstance(part, IsNull) and part.column in TEXT_COLUMNS and pa.types.is_large_string(column.type):
            return pc.equal(column, "").fill_null(
                True
            )  # a document without a title is stored with an empty one
        return _column_truth(part, column)
    join = pc.and_kleene if isinstance(part, Every) else pc.or_kleene
    return reduce(join, (_truth(p, table, n, lists, kinds) for p in part.parts))


def stored_column(table: pa.Table | None, name: str, kind: str | None) -> pa.Array | None:
    """A column, or what stands at a path into objects (`nested.py`); None where the table has neither.

    Where a document has a field `author.name` and another an object `author` with a `name`, both are found.
    `kind` is that of the path, None where the name is none.
    """
    if table is None or name not in table.column_names:
        return nested_column(table, name, kind)
    column = table.column(name)
    column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not is_nested(name) or not column.null_count:
        return column
    within = nested_column(table, name, kind_of_type(column.type))
    return column if within is None else pc.coalesce(column, within)


def _column_truth(part: Leaf, column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), None, column)  # written by a release that kept them
    if isinstance(part, IsNull):
        return column.is_null()
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    if pa.types.is_large_list(column.type):
        return _list_truth(part, column)
    if isinstance(part, Like):
        if not pa.types.is_large_string(column.type):
            raise InvalidInputError(f"where: column {part.column!r} is of type {column.type}: no {part.how}")
        return _text_truth(part, column)
    if isinstance(part, In):
        return _one_of(part, column)
    if pa.types.is_boolean(column.type) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} is true or false: it takes = and != only")
    (value,) = _checked(part.column, column.type, (part.value,))
    sign: str = part.operator
    if sign in ("=", "!=") and len(_forms((value,))) > 1:
        found = _one_of(In(part.column, (value,)), column)
        return found if sign == "=" else pc.invert(found)
    if not _is_exact(column.type, value):
        if sign in ("=", "!="):
            return pc.if_else(column.is_valid(), sign == "!=", None)
        sign, value = _between(column.type, sign, value)
    return _FUNCTIONS[sign](column, _array(part.column, column.type, [value])[0])


def _one_of(part: In, column: pa.Array) -> pa.Array:
    """Whether each value of a column is one of several."""
    wanted = _forms(_exact(column.type, _checked(part.column, column.type, part.values)))
    if pa.types.is_floating(column.type) and 0 in wanted:
        wanted = [*wanted, 0.0, -0.0]  # `is_in` tells them apart
    if not wanted:
        return pc.if_else(column.is_valid(), False, None)
    found = pc.is_in(column, value_set=_array(part.column, column.type, wanted))
    return pc.if_else(column.is_valid(), found, None)


def _checked(name: str, kind: pa.DataType, values: Sequence[Value]) -> Sequence[Value]:
    """The values, each of which can be compared with a column of this type: whole and other numbers may meet.

    Raises:
        InvalidInputError: for a value of another type, and for NaN, which is no value.
    """
    kinds = set(map(type, values))
    if kinds <= _WITHOUT_DOUBT.get(kind, set()):
        return values
    is_numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_numeric and kinds <= {int, float} and not any(map(operator.ne, values, values)):  # none is NaN
        return values
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
            raise InvalidInputError(f"where: column {name!r} is of type {kind}, compared with {shown(value)}")
    return values


def _exact(kind: pa.DataType, values: Sequence[Value]) -> Sequence[Value]:
    """Those of the values that a column of this type can hold, perhaps in another order."""
    kinds = set(map(type, values))
    numbers: Any = values
    if kinds <= {str, bool} or (kinds == {int} and -_EXACT <= min(numbers) <= max(numbers) <= _EXACT):
        return values
    if kinds == {int, float}:
        return [v for one in (int, float) for v in _exact(kind, [v for v in values if type(v) is one])]
    if kinds == {float}:
        return _exact_floats(kind, numbers)
    return [value for value in values if _is_exact(kind, value)]


def _exact_floats(kind: pa.DataType, values: Sequence[float]) -> Sequence[Value]:
    """The same of floats, as an array: a million take a moment."""
    if pa.types.is_floating(kind):
        return values
    numbers = np.array(values)
    held = (numbers == np.floor(numbers)) & (numbers >= -(2.0**63)) & (numbers < 2.0**63)
    whole: list[Value] = numbers[held].astype(np.int64).tolist()
    return whole


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


def _between(kind: pa.DataType, sign: str, value: Any) -> tuple[str, int | float]:
    """The comparison with a value that the column can hold which is true of the same values of the column."""
    below = sign in ("<", "<=")
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


def _text_truth(part: Like, column: pa.Array, *, whole: bool = False) -> pa.Array:
    """Whether each text holds the part, or begins with it; with `whole`, holds nothing else."""
    find = pc.match_substring if part.how == "contains" else pc.starts_with
    truths = []
    for form in _forms((part.part,)):
        truth = find(column, form, ignore_case=part.ignore_case)
        if whole:  # a text that holds the part and is no longer is the part
            truth = pc.and_(truth, pc.equal(pc.utf8_length(column), len(str(form))))
        truths.append(truth)
    return reduce(pc.or_, truths)


def _forms(values: Sequence[Value]) -> Sequence[Value]:
    """The values, and beside texts with accents their other forms: é is one character, or e and an accent.

    macOS writes the second in names of files, most keyboards the first; they look alike and mean the same.
    """
    if all(not isinstance(value, str) or value.isascii() for value in values):
        return values
    forms: dict[Value, None] = dict.fromkeys(values)
    for value in values:
        if isinstance(value, str):
            forms |= dict.fromkeys(unicodedata.normalize(form, value) for form in ("NFC", "NFD"))
    return list(forms)


def _list_truth(part: Compare | In | Like, column: pa.Array) -> pa.Array:
    """Whether each list holds the value (`=`, `contains`), one of several (`in`), or does not (`!=`).

    `prefix` asks whether it holds an item that begins so.
    """
    if isinstance(part, Like):
        if part.how == "contains" and not part.ignore_case:
            return _list_truth(Compare(part.column, "=", part.part), column)
        items = column.flatten()
        hit = _text_truth(part, items, whole=part.how == "contains")
        return pc.if_else(column.is_valid(), _any_item(column, hit), None)
    if isinstance(part, Compare) and part.operator not in ("=", "!="):
        raise InvalidInputError(f"where: column {part.column!r} holds lists: it takes =, != and in only")
    values = part.values if isinstance(part, In) else (part.value,)
    holds = pa.repeat(pa.scalar(False), len(column))
    if values:
        kind = pa.large_string()
        wanted = _array(part.column, kind, _forms(_checked(part.column, kind, values)))
        holds = _any_item(column, pc.is_in(column.flatten(), value_set=wanted))
    if isinstance(part, Compare) and part.operator == "!=":
        holds = pc.invert(holds)
    return pc.if_else(column.is_valid(), holds, None)


def _any_item(column: pa.Array, hit: pa.Array) -> pa.Array:
    """For each list whether one of its items was hit."""
    holds = np.zeros(len(column), bool)
    parents = pc.list_parent_indices(column).to_numpy()
    holds[parents[np.asarray(hit.to_numpy(zero_copy_only=False), dtype=bool)]] = True
    return pa.array(holds)
