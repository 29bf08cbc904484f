"""Filters as Python values, in our own form and in those that users of other frameworks have.

    ours, LangChain   {"year": {">=": 1990}, "lang": ["en", "de"]}      {"year": {"$gte": 1990}}
    LlamaIndex        {"filters": [{"key": "year", "operator": ">=", "value": 1990}], "condition": "and"}
    Haystack          {"field": "meta.year", "operator": ">=", "value": 1990}
                      {"operator": "AND", "conditions": [...]}

LangChain has no form of its own: `$gte` and its like are what its vector stores (Chroma, PGVector, Pinecone)
share. Haystack compares without an unknown: `!=` and `not in` are true where the field is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splade_engine.arguments import check_many, shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.filter.nodes import (
    MAX_DEPTH,
    OPERATORS,
    Compare,
    Every,
    Filter,
    In,
    IsNull,
    Like,
    Not,
    Some,
    Sure,
    all_of,
    between,
)

# the names that other frameworks have for our operators
_SYNONYMS = {
    "$eq": "=", "==": "=", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">=",
    "$in": "in", "any": "in", "$nin": "not in", "nin": "not in", "$between": "between",
    "$contains": "contains", "text_match": "contains", "text_match_insensitive": "icontains",
    "$like": "like", "$ilike": "ilike", "$exists": "exists",
}  # fmt: skip
_OURS = (*OPERATORS, "in", "not in", "between", "contains", "prefix")


def from_mapping(where: Mapping[str, Any], depth: int = 0) -> Filter:
    """The filter that a mapping stands for.

    Raises:
        InvalidInputError: naming the key and value that are not understood.
    """
    if depth > MAX_DEPTH:
        raise InvalidInputError(f"where: nested deeper than {MAX_DEPTH}")
    keys = set(where)
    if keys in ({"operator", "conditions"}, {"field", "operator", "value"}) and isinstance(
        where["operator"], str
    ):
        return _haystack(where, depth)
    if keys in ({"filters"}, {"filters", "condition"}) and isinstance(where["filters"], list | tuple):
        return _llama_index(where, depth)
    parts: list[Filter] = []
    for key, value in where.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"where: the name of a field is expected, got {shown(key)}")
        if key in ("$and", "$or"):
            made = tuple(from_mapping(part, depth + 1) for part in _filters(key, value))
            parts.append(Every(made) if key == "$and" else Some(made))
        elif key == "$not":
            parts.append(Not(from_mapping(_mapping(value), depth + 1)))
        elif isinstance(value, Mapping):
            if not value:
                raise InvalidInputError(f"where: {key}: a comparison is expected, got {{}}")
            parts.extend(_comparison(key, operator, v) for operator, v in value.items())
        else:
            parts.append(_equal(key, value))
    if not parts:
        raise InvalidInputError("where: an empty filter")
    return all_of(parts)


def _haystack(where: Mapping[str, Any], depth: int) -> Filter:
    operator = where["operator"]
    if "conditions" in where:
        given = _filters("conditions", where["conditions"])
        parts = tuple(Sure(from_mapping(part, depth + 1)) for part in given)
        if operator in ("AND", "NOT"):
            return Every(parts) if operator == "AND" else Not(Every(parts))
        if operator == "OR":
            return Some(parts)
        raise InvalidInputError(f"where: operator {shown(operator)} is none of AND, OR, NOT")
    field, value = where["field"], where["value"]
    if not isinstance(field, str):
        raise InvalidInputError(f"where: field: a name is expected, got {shown(field)}")
    column = field.removeprefix("meta.")
    made = _comparison(column, operator, value)
    if operator in ("!=", "not in") and value is not None:
        return Some((IsNull(column), made))
    return made


def _llama_index(where: Mapping[str, Any], depth: int) -> Filter:
    condition = str(getattr(where.get("condition", "and"), "value", where.get("condition", "and")))
    parts: list[Filter] = []
    for given in _filters("filters", where["filters"]):
        if "filters" in given:
            parts.append(from_mapping(given, depth + 1))
            continue
        key, value = given.get("key"), given.get("value")
        operator = given.get("operator", "==")
        operator = getattr(operator, "value", operator)
        if not isinstance(key, str) or set(given) - {"key", "value", "operator"}:
            raise InvalidInputError(
                f"where: a filter with key, operator and value is expected, got {given!r:.80}"
            )
        parts.append(_llama_index_comparison(key, operator, value))
    if condition in ("and", "or"):
        return all_of(parts) if condition == "and" or len(parts) == 1 else Some(tuple(parts))
    if condition == "not":
        return Not(Sure(Some(tuple(parts))))
    raise InvalidInputError(f"where: condition {shown(condition)} is none of and, or, not")


def _llama_index_comparison(column: str, operator: Any, value: Any) -> Filter:
    if operator == "is_empty":
        return IsNull(column)
    if operator == "all":
        check_many(f"where: {column}: all", value, "values", ordered=False)
        return all_of([Compare(column, "=", v) for v in value])
    return _comparison(column, operator, value)


def _equal(column: str, value: Any) -> Filter:
    if value is None:
        return IsNull(column)
    if isinstance(value, list | tuple | set | frozenset):
        return In(column, tuple(value))
    return Compare(column, "=", value)


def _comparison(column: str, operator: Any, value: Any) -> Filter:
    name = _SYNONYMS.get(operator, operator) if isinstance(operator, str) else operator
    if name in ("in", "not in"):
        check_many(f"where: {column}: {operator}", value, "values", ordered=False)
        found = In(column, tuple(value))
        return found if name == "in" else Not(found)
    if name == "between":
        if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray) or len(value) != 2:
            raise InvalidInputError(f"where: {column}: {operator} takes two values, got {shown(value)}")
        return between(column, value[0], value[1])
    if name in ("contains", "icontains"):
        return Like(column, "contains", value, ignore_case=name == "icontains")
    if name == "prefix":
        return Like(column, "prefix", value)
    if name in ("like", "ilike"):
        return _like(column, operator, value, ignore_case=name == "ilike")
    if name == "exists":
        if not isinstance(value, bool):
            raise InvalidInputError(f"where: {column}: {operator} takes true or false, got {shown(value)}")
        return Not(IsNull(column)) if value else IsNull(column)
    if value is None and name in ("=", "!="):
        return IsNull(column) if name == "=" else Not(IsNull(column))
    if name not in OPERATORS:
        raise InvalidInputError(f"where: {column}: {shown(operator)} is none of {', '.join(_OURS)}")
    return Compare(column, name, value)


def _like(column: str, operator: str, pattern: Any, *, ignore_case: bool) -> Filter:
    """SQL's `like` where it asks for a part, a beginning or the whole."""
    if isinstance(pattern, str):
        part = pattern.strip("%")
        if "%" not in part and "_" not in part:
            if pattern == f"%{part}%":
                return Like(column, "contains", part, ignore_case)
            if pattern == f"{part}%":
                return Like(column, "prefix", part, ignore_case)
            if pattern == part and not ignore_case:
                return Compare(column, "=", part)
    raise InvalidInputError(f"where: {column}: {operator} takes %part% or beginning%, got {shown(pattern)}")


def _filters(key: str, value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence) or not value:
        raise InvalidInputError(f"where: {key} takes a list of filters, got {shown(value)}")
    return [_mapping(part) for part in value]


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"where: expected a mapping, got {shown(value)}")
    return value
