"""Values of a recipe: from TOML or the command line to the type of their field, and back."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from splade_engine.arguments import double, shown
from splade_engine.errors import InvalidInputError


def parse_assignment(text: str) -> tuple[str, Any]:
    """`train.lr=1e-5` as a key and a value of TOML's type; what is not TOML is a string.

    Raises:
        InvalidInputError: if there is no equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise InvalidInputError(f"--set {text:.80}: expected field=value, such as train.lr=1e-5")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except (ValueError, RecursionError):
        return key.strip(), value.strip()


def checked_fields(
    kind: type, table: Mapping[str, Any], place: str, *, joined: bool = False
) -> dict[str, Any]:
    """The fields of the dataclass `kind` from a table, each of its type; `place` begins error messages."""
    hints = get_type_hints(kind)
    out = {}
    for key, value in table.items():
        name = key if str(key).isidentifier() and len(key) < 60 else shown(key)
        where = f"{place}{name}" if joined else f"{place}: {name}"
        if key not in hints:
            raise InvalidInputError(f"{where}: no such field; there are {', '.join(sorted(hints))}")
        out[key] = _converted(hints[key], value, where)
    return out


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
    if is_dataclass(hint):
        kind: Any = hint
        if isinstance(value, dict):
            return _made(kind, value, where)
        if isinstance(value, kind):
            return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if not math.isfinite(double(value)):
            raise InvalidInputError(f"{where}: {shown(value)} is too large")
        return float(value)
    if isinstance(value, bool) != (hint is bool) or not isinstance(value, hint):
        raise InvalidInputError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {shown(value)}")
    return value


def _of_several(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value of one of several types: a list is a tuple, anything else of the first type."""
    if value is None and type(None) in kinds:
        return None
    listed = [kind for kind in kinds if get_origin(kind) is tuple]
    return _converted(listed[0] if listed and isinstance(value, list | tuple) else kinds[0], value, where)


def _made(kind: Any, table: Mapping[str, Any], where: str) -> Any:
    given = checked_fields(kind, table, f"{where}.", joined=True)
    for field in fields(kind):
        if field.name not in given and field.default is field.default_factory is MISSING:
            raise InvalidInputError(f"{where}.{field.name}: is missing")
    return kind(**given)


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes are JSON's
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)
