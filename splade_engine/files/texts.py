"""Text, JSON and TOML files of ours and of others, read with bounds and written whole."""

from __future__ import annotations

import json
import math
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError, reason_of
from splade_engine.files.disk import disk_errors
from splade_engine.files.whole_file import atomic_file
from splade_engine.plain_text import shortened, whole


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON atomically: UTF-8, a final newline; two spaces, as transformers writes it, unless told.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair: as an escape it is valid JSON in valid UTF-8
        data = json.dumps(value, indent=indent).encode()
    with atomic_file(path) as file:
        file.write(data + b"\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        StorageError: the disk refuses.
    """
    with atomic_file(path) as file:
        file.write(text.encode())


def read_json(path: str | Path, *, most: int = 1 << 26) -> Any:
    """The value in a JSON file.

    Args:
        path: a regular file; a link to one is followed. A pipe or a device is refused, never waited on.
        most: bytes that such a file can sensibly have.

    Raises:
        InvalidInputError: naming the file and what is wrong with it (not JSON, not UTF-8, nested too deeply,
            a key twice in one object, too large, not a regular file).
        StorageError: the disk refuses, or there is no such file.
    """
    try:
        return parsed_json(read_text(path, most=most))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInputError(f"{path}: not JSON ({error.msg}, {where})") from None
    except RecursionError:
        raise InvalidInputError(f"{path}: nested too deeply") from None
    except InvalidInputError:
        raise
    except ValueError as error:  # a key twice, or an integer of more than 4,300 digits
        raise InvalidInputError(f"{path}: {reason_of(error)}") from None


def parsed_json(text: str | bytes, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The value in a JSON text that anybody may have written: every JSON of others is parsed here.

    Args:
        text: the text, or its bytes.
        parse_constant: called with NaN and infinities, as of `json.loads`.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: a key stands twice in one object, or a number has thousands of digits.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_keys, parse_constant=parse_constant)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `object_pairs_hook`: Python would keep the last of two values and forget the others.

    Raises:
        ValueError: naming the key that occurs twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{shortened(repr(twice), 80)} occurs twice")
    return found


def finite(value: Any) -> Any:
    """A value for JSON, with None in place of every number that is not finite: JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def whole_texts(value: Any) -> Any:
    """A value for JSON, with U+FFFD for each half of a surrogate pair, which no UTF-8 can write."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole_texts(name): whole_texts(item) for name, item in value.items()}
    return [whole_texts(item) for item in value] if isinstance(value, list | tuple) else value


def read_toml(path: str | Path) -> dict[str, Any]:
    """The table in a TOML file.

    Raises:
        InvalidInputError, StorageError: as `read_json`.
    """
    return parsed_toml(read_text(path), str(path))


def parsed_toml(text: str, place: str) -> dict[str, Any]:
    """The table in a text; `place` begins the message.

    Raises:
        InvalidInputError: it is not TOML, nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidInputError(f"{place}: nested too deeply") from None
    except ValueError as error:
        raise InvalidInputError(f"{place}: not TOML: {reason_of(error)}") from None


def read_text(path: str | Path, *, most: int = 1 << 26) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark; arguments as for `read_json`.

    Raises:
        InvalidInputError: not UTF-8, too large, not a regular file.
        StorageError: the disk refuses, or there is no such file.
    """
    with disk_errors(path, "read"):
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{path}: not a regular file")
        if status.st_size > most:
            raise InvalidInputError(f"{path}: {status.st_size} bytes, more than the {most} that can be meant")
        data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: not UTF-8") from None
