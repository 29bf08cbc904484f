"""Fields of dataclasses from tables of TOML or JSON, each of the type that it is declared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from splade_engine.arguments import double, shown
from splade_engine.errors import InvalidInputError

T = TypeVar("T")


def checked_fields(
    kind: type, table: Mapping[str, Any], place: str, *, joined: bool = False
) -> dict[str, Any]:
    """The fields of the dataclass `kind` from a table, each of its type; `place` begins error messages.

    Raises:
        InvalidInputError: naming the field that is unknown or of another type.
    """
    hints = get_type_hints(kind)
    out = {}
    for key, value in table.items():
        name = key if str(key).isidentifier() and len(key) < 60 else shown(key)
        where = f"{place}{name}" if joined else f"{place}: {name}"
        if key not in hints:
            raise InvalidInputError(f"{where}: no such field; there are {', '.join(sorted(hints))}")
        out[key] = _converted(hints[key], value, where)
    return out


def made(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """The dataclass `kind` from a table; what the table lacks has its default.

    Raises:
        InvalidInputError: beginning with `where`, naming a field that is missing, unknown or of another type.
    """
    given = checked_fields(kind, table, f"{where}.", joined=True)
    declared: Any = kind
    for field in fields(declared):
        if field.name not in given and field.default is field.default_factory is MISSING:
            raise InvalidInputError(f"{where}.{field.name}: is missing")
    return kind(**given)


def check_types(section: Any, place: str, *, joined: bool = False) -> None:
    """Check that every field of a section that Python code made is of its type.

    Raises:
        InvalidInputError: naming the field and its value.
    """
    checked_fields(
        type(section),
        {field.name: getattr(section, field.name) for field in fields(section)},
        place,
        joined=joined,
    )


def _converted(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin is Literal:
        if value not in get_args(hint):
            raise InvalidInputError(f"{where}: {shown(value)} is not one of {', '.join(get_args(hint))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InvalidInputError(f"{where}: expected a list, got {shown(value)}")
        return tuple(_converted(get_args(hint)[0], v, where) for v in value)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return _of_several(get_args(hint), value, where)
    if origin in (dict, Mapping):
        return _mapping(get_args(hint), value, where)
    if is_dataclass(hint):
        kind: Any = hint
        if isinstance(value, dict):
            return made(kind, value, where)
        if isinstance(value, kind):
            return value
    return _plain(hint, value, where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    """A text, a number, or true or false; a whole number serves as a float."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if not math.isfinite(double(value)):
            raise InvalidInputError(f"{where}: {shown(value)} is too large")
        return float(value)
    if isinstance(value, bool) != (hint is bool) or not isinstance(value, hint):
        raise InvalidInputError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {shown(value)}")
    return value


def _of_several(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value of one of several types: a list is a tuple, what is of none of them should be of the first."""
    if type(value) in kinds:
        return value
    listed = [kind for kind in kinds if get_origin(kind) is tuple]
    return _converted(listed[0] if listed and isinstance(value, list | tuple) else kinds[0], value, where)


def _mapping(kinds: tuple[Any, ...], value: Any, where: str) -> dict[Any, Any]:
    """A mapping whose values are of one type; keys may be numbers, for which JSON has texts."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{where}: expected an object, got {shown(value)}")
    of_key, of_value = kinds
    out = {}
    for key, one in value.items():
        is_number = of_key is int and isinstance(key, str) and key.isascii() and key.isdigit()
        out[int(key) if is_number else _converted(of_key, key, f"{where}: the key")] = _converted(
            of_value, one, f"{where}: {shown(key)}"
        )
    return out
