"""Bounds on what is read, so that a wrong file ends in one line and not in all memory or in hours."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from splade_engine.errors import DatasetError, InvalidInputError

_VARIABLE = "SPLADE_ENGINE_MAX_{}"


@dataclass(frozen=True)
class Limits:
    """What a source may hold; the environment sets others, `SPLADE_ENGINE_MAX_DOCUMENT_BYTES=50000000`."""

    # of one line, one document, or one text file's paragraph: a thick book has three million letters
    document_bytes: int = 10_000_000
    # of one text or Markdown file, which is cut into passages
    file_bytes: int = 100_000_000
    # of one query. An encoder reads some hundred words, and only filters out of words read more
    query_bytes: int = 1_000_000
    # blank lines in a row: a compressed file of a megabyte can hold a billion of them
    blank_lines: int = 1_000_000
    # XML elements of a Word document, which mammoth reads at 20 to 40 us each; a thick book has some hundred
    # thousand, and a file of 30 kB can hold millions
    elements: int = 1_000_000

    @classmethod
    def of_environment(cls) -> Limits:
        """The defaults, and what the environment says.

        Raises:
            InvalidInputError: naming the variable that is no number of at least 1.
        """
        values = {f.name: _number(_VARIABLE.format(f.name.upper())) for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if value is not None})

    def check_text(self, length: int, place: str, *, cut: bool = False) -> None:
        """Refuse a document that is too large, where it did not come as a line of a file.

        Args:
            length: characters of its text and title, and of its longest fields.
            place: begins the message.
            cut: it becomes passages, as a text file does, and has that bound.

        Raises:
            DatasetError: naming the bound and how to set another.
        """
        name = "file_bytes" if cut else "document_bytes"
        most: int = getattr(self, name)
        if length > most:
            raise DatasetError(f"{place}: a text of more than {most:,} characters ({self.hint(name)})")

    def hint(self, name: str) -> str:
        """How to set another bound, for the end of a message."""
        return f"{_VARIABLE.format(name.upper())} sets another bound"


_SHORT = 1000  # characters of a query that is not held against the bound: a search takes microseconds


def check_query(text: str, place: str) -> None:
    """Refuse a query that is too long: 10 MB of it take some ten seconds and half a gigabyte.

    Args:
        text: of the query.
        place: begins the message.

    Raises:
        InvalidInputError: naming the bound and how to set another; or for half of a surrogate pair, which
            no encoding writes.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            message = f"{place}: holds a lone surrogate at character {error.start}: {text!a:.80}"
            raise InvalidInputError(message) from None
    if len(text) <= _SHORT:
        return
    limits = Limits.of_environment()
    if len(text) > limits.query_bytes:
        raise InvalidInputError(
            f"{place}: a text of {len(text):,} characters, more than {max(limits.query_bytes, _SHORT):,} "
            f"({limits.hint('query_bytes')})"
        )


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:18]) >= 1 and len(text) <= 18):
        raise InvalidInputError(f"{variable} must be a whole number of at least 1, got {text[:40]!r}")
    return int(text)
