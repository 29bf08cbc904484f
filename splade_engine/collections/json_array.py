"""JSON files: an array of objects, or objects one after another, read without holding the file in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from splade_engine.errors import DatasetError, reason_of
from splade_engine.files import unique_keys

_BLANK = " \t\r\n"
_CHUNK = 1 << 16  # characters


def json_array(lines: Iterable[tuple[int, str]], place: str) -> Iterator[tuple[int, object]]:
    """(number from 1, value) of every element of an array, or of every value where there is no array.

    Args:
        lines: every line of the file, blank ones included.
        place: begins the messages.

    Raises:
        DatasetError: naming the line.
    """
    return enumerate(_Values(lines, place).values(), start=1)


class _Values:
    def __init__(self, lines: Iterable[tuple[int, str]], place: str) -> None:
        self._lines = iter(lines)
        self._place = place
        self._text = ""
        self._at = 0
        self._line = 1  # of the character at `_at`
        self._decoder = json.JSONDecoder(object_pairs_hook=unique_keys)

    def values(self) -> Iterator[object]:
        if self._next() == "":
            return
        if self._next() != "[":
            while self._next():
                yield self._value()
            return
        self._advance(1)
        if self._next() == "]":
            self._advance(1)
        else:
            while True:
                yield self._value()
                sign = self._next()
                self._advance(1)
                if sign == "]":
                    break
                if sign != ",":
                    raise self._problem(
                        "a comma or ] is expected" if sign else "the file ends within the array"
                    )
        if self._next():
            raise self._problem("something follows the array")

    def _next(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._advance(1)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> object:
        if not self._next():
            raise self._problem("the file ends within the array")
        line = self._line
        size = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # a number at the end of what was read may go on
                if end < len(self._text) or not self._more():
                    self._advance(end - self._at)
                    return value
            except RecursionError:
                raise DatasetError(f"{self._place}:{line}: JSON nested too deeply") from None
            except json.JSONDecodeError as error:
                # read on, twice as much each time: else a long value is tried as often as it has lines
                target = len(self._text) - self._at + size
                grown = False
                while len(self._text) - self._at < target and self._more():
                    grown = True
                if not grown:
                    at = getattr(error, "pos", self._at)
                    self._advance(max(min(at, len(self._text)) - self._at, 0))
                    raise self._problem(str(error).partition(":")[0].lower()) from None
                size *= 2
            except ValueError as error:  # a key twice, or a number of thousands of digits
                raise DatasetError(f"{self._place}:{line}: {reason_of(error)}") from None

    def _more(self) -> bool:
        numbered = next(self._lines, None)
        if numbered is None:
            return False
        self._text = f"{self._text[self._at :]}{numbered[1]}\n"
        self._at = 0
        return True

    def _advance(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _problem(self, what: str) -> DatasetError:
        return DatasetError(f"{self._place}:{self._line}: not JSON ({what})")
