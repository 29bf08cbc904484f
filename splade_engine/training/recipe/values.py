"""Values of a recipe as TOML writes them, on the command line too; `typed.py` says of which type each is."""

from __future__ import annotations

import json
import tomllib
from typing import Any

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


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's escapes are JSON's
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)
