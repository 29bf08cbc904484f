"""Bounds on what is read, so that a wrong file ends in one line and not in all memory or in hours."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from splade_engine.errors import InvalidInputError

_VARIABLE = "SPLADE_ENGINE_MAX_{}"


@dataclass(frozen=True)
class Limits:
    """What a source may hold; the environment sets others, `SPLADE_ENGINE_MAX_DOCUMENT_BYTES=50000000`."""

    # of one line, one document, or one text file's paragraph: a thick book has three million letters
    document_bytes: int = 10_000_000
    # of one text or Markdown file, which is cut into passages
    file_bytes: int = 100_000_000
    # blank lines in a row: a compressed file of a megabyte can hold a billion of them
    blank_lines: int = 1_000_000

    @classmethod
    def of_environment(cls) -> Limits:
        """The defaults, and what the environment says.

        Raises:
            InvalidInputError: naming the variable that is no number of at least 1.
        """
        values = {f.name: _number(_VARIABLE.format(f.name.upper())) for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if value is not None})

    def hint(self, name: str) -> str:
        """How to set another bound, for the end of a message."""
        return f"{_VARIABLE.format(name.upper())} sets another bound"


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:18]) >= 1 and len(text) <= 18):
        raise InvalidInputError(f"{variable} must be a whole number of at least 1, got {text[:40]!r}")
    return int(text)
