"""What reading one file gives, and a row of the table of kinds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from splade_engine.collections.passages import Block

Unit = Literal["line", "page", "cell"]


@dataclass(frozen=True)
class Places:
    """Which line, page or cell of the file each stretch of the text is from."""

    unit: Unit
    # characters of the text at which one begins, in order
    starts: Sequence[int]
    # its number, from 1; None: they are numbered through
    numbers: Sequence[int] | None = None

    def of(self, start: int, end: int) -> dict[str, int]:
        """`{"line": 12, "last_line": 20}` for `text[start:end]`."""
        first, last = self._number(start), self._number(max(end - 1, start))
        return {self.unit: first, f"last_{self.unit}": last}

    def _number(self, at: int) -> int:
        place = max(bisect_right(self.starts, at) - 1, 0)
        return place + 1 if self.numbers is None else self.numbers[place]


@dataclass(frozen=True)
class FileText:
    """The text of a file, with its structure."""

    text: str
    blocks: Sequence[Block]
    # "" where the file does not say
    title: str = ""
    places: Places | None = None


class TextBuilder:
    """A text put together from blocks, with a blank line between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []

    def add(
        self,
        text: str,
        kind: Literal["text", "code", "heading"] = "text",
        *,
        title: str = "",
        number: int = 0,
    ) -> None:
        """Add a block; one of white space is left out. `number` is its line, page or cell in the file."""
        text = text.strip("\n") if kind == "code" else text.strip()
        if not text.strip():
            return
        start = self.begin(number)
        self._extend(text)
        self.blocks.append(Block(start, self._length, kind, title))

    def add_all(self, text: str, blocks: Sequence[Block], *, number: int = 0) -> None:
        """Add a text that has blocks of its own."""
        if not blocks:
            return
        start = self.begin(number)
        self._extend(text)
        self.blocks += [Block(start + b.start, start + b.end, b.kind, b.title) for b in blocks]

    def begin(self, number: int) -> int:
        """Where the next block begins."""
        if self._parts:
            self._extend("\n\n")
        self._starts.append(self._length)
        self._numbers.append(number)
        return self._length

    def finished(self, title: str, unit: Unit | None) -> FileText:
        """What was added."""
        places = Places(unit, self._starts, self._numbers) if unit and self._starts else None
        return FileText("".join(self._parts), self.blocks, title, places)

    def _extend(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is one document: a row of the table in `readers/__init__.py`."""

    # for messages
    name: str
    suffixes: tuple[str, ...]
    # the content and the name of the file to its text; ValueError says what is wrong with the content
    read: Callable[[bytes, FileName], FileText] = field(repr=False)
    # its text to the targets of its links, as they are written; None where it has none
    links: Callable[[str], list[str]] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class FileName:
    """What a reader may want to know of a file beside its content."""

    # for messages
    place: str
    # ".md"
    suffix: str
    # how text that is not UTF-8 is decoded; None: it is refused
    encoding: str | None = None
