"""Arguments that are text: a query, a filter, an id. Names of files may be any bytes, these may not."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer


class Text:
    """Reads an argument as UTF-8, whatever the locale: Python reads it by the locale, C's is ASCII."""

    __name__ = "text"

    def __call__(self, text: str) -> str:
        """The text.

        Raises:
            typer.BadParameter: bytes that are no UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
        try:
            return os.fsencode(text).decode()
        except UnicodeError as error:
            place = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
            locale = sys.getfilesystemencoding()
            raise typer.BadParameter(
                f"{text!r:.80}: neither UTF-8 nor text of this locale ({locale}){place}"
            ) from None


def argument(metavar: str, *, help: str) -> Any:
    """An argument that is text."""
    return typer.Argument(metavar=metavar, parser=Text(), help=help)


def option(*names: str, help: str) -> Any:
    """An option that is text."""
    return typer.Option(*names, parser=Text(), metavar="TEXT", help=help)
