"""Options that take a number: each says what can be meant, and what is beyond is refused with its value.

A bound is generous: a number above it is a slip of the finger, or would be refused later, after hours of
work.
"""

from __future__ import annotations

import math
from typing import Any

import typer

MOST = 2**31 - 1  # of things that are counted
LONGEST = 2**20  # tokens of a text
THREADS = 1024


class Whole:
    """Reads a whole number between two bounds."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.__name__ = "integer"

    def __call__(self, text: str) -> int:
        """The number.

        Raises:
            typer.BadParameter: if it is none, or not within the bounds.
        """
        try:
            number = int(text)
        except ValueError:  # no number, or one of more than 4,300 digits
            number = None
        if number is None or not self.least <= number <= self.most:
            raise typer.BadParameter(f"a whole number from {self.least} to {self.most}, got {_told(text)}")
        return number


class Real:
    """Reads a finite number above a bound, or at it where `closed`, and at most another."""

    def __init__(self, least: float, most: float, closed: bool) -> None:
        self.least, self.most, self.closed = least, most, closed
        self.__name__ = "float"

    def __call__(self, text: str) -> float:
        """The number.

        Raises:
            typer.BadParameter: if it is none, or not within the bounds.
        """
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        enough = number >= self.least if self.closed else number > self.least
        if not enough or number > self.most:
            bounds = f"{'from' if self.closed else 'above'} {self.least:g}, at most {self.most:g}"
            raise typer.BadParameter(f"a number {bounds}, got {_told(text)}")
        return number


def _told(text: Any) -> str:
    return repr(text) if isinstance(text, str) else str(text)


def whole(*names: str, least: int = 1, most: int = MOST, help: str) -> Any:
    """An option that takes a whole number from `least` to `most`."""
    return typer.Option(*names, parser=Whole(least, most), metavar="N", help=help)


def real(*names: str, most: float = 1.0, zero: bool = False, help: str) -> Any:
    """An option that takes a number up to `most`: above 0, or 0 as well."""
    return typer.Option(*names, parser=Real(0.0, most, zero), metavar="X", help=help)
