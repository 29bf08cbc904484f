"""Fields of a recipe's sections: their bounds, and the comment above each, which is its documentation."""

from __future__ import annotations

import inspect
import io
import math
import tokenize
from collections.abc import Sequence
from dataclasses import field, fields
from functools import cache
from typing import Any

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError


def bounded(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field whose value lies between `low` and `high`, both allowed; None: no bound."""
    return field(default=default, metadata={"low": low, "high": high})


MOST = 2**31 - 1  # of whatever is counted


def chosen(default: str, choices: Sequence[str]) -> Any:
    """A dataclass field whose value is one of `choices` (the names of a table)."""
    return field(default=default, metadata={"choices": tuple(choices)})


def check_fields(section: Any, place: str) -> None:
    """Check every field that was declared with `bounded` or `chosen`, and that all numbers can be meant.

    Args:
        section: an instance of a section.
        place: begins the error message, with the section's name: `recipe l0: train.`.

    Raises:
        InvalidInputError: naming the field, its bound and its value. NaN lies within no bound.
    """
    for each in fields(section):
        value = getattr(section, each.name)
        low, high = each.metadata.get("low"), each.metadata.get("high")
        if low is not None and not value >= low:
            raise InvalidInputError(f"{place}{each.name} must be at least {low:g}, got {shown(value)}")
        if high is not None and not value <= high:
            raise InvalidInputError(f"{place}{each.name} must be at most {high:g}, got {shown(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInputError(f"{place}{each.name} must be finite, got {value}")
        if isinstance(value, int) and abs(value) > MOST:
            raise InvalidInputError(f"{place}{each.name} must be at most {MOST}, got {shown(value)}")
        choices = each.metadata.get("choices")
        if choices and value not in choices:
            raise InvalidInputError(f"{place}{each.name}: {shown(value)} is not one of {', '.join(choices)}")


@cache
def field_comments(section: type) -> dict[str, str]:
    """What the comment above each field says, by field name, as one line; `{}` without the source file.

    The comments of a section's base classes count as its own.
    """
    out: dict[str, str] = {}
    for kind in reversed(section.__mro__[:-1]):
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):
            return {}
        names = set(inspect.get_annotations(kind))
        waiting: list[str] = []
        for line in _logical_lines(inspect.cleandoc("\n" + source)):
            if line.startswith("#"):
                waiting.append(line.lstrip("# "))
                continue
            name = line.partition(":")[0]
            if name in names and waiting:
                out[name] = " ".join(waiting)
            waiting = []
    return out


def _logical_lines(source: str) -> list[str]:
    """Comment lines and the first line of every statement, stripped."""
    out, fresh = [], True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and fresh:
            out.append(token.string)
        elif token.type == tokenize.NEWLINE:
            fresh = True
        elif token.type in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        elif fresh:
            out.append(token.line.strip())
            fresh = False
    return out
