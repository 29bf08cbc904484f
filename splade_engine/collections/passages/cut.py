"""Cutting a text into passages: at headings, between paragraphs, sentences or lines, else between words.

The measure is the encoder's own tokens: a passage and its title always fit into what it reads, and no word is
left out. Passages of 200 to 300 tokens are what retrieval models are trained on (MS MARCO's have 75 on
average, Wikipedia's 100 words in DPR, section 4.1 of arXiv:2004.04906), and Elasticsearch cuts at 250 words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import whole
from splade_engine.collections.passages.blocks import Block
from splade_engine.errors import InvalidInputError

DEFAULT_TOKENS = 256
PARENT = "parent"  # the metadata column with the id of the document that a passage is of
_LEAST = 16
_SMALL = 8  # a section of less than an eighth of a passage shares one with the next
# after the marks of Latin and of Chinese and Japanese writing, and before an entry of a list or table
_SENTENCE_END = re.compile(
    "(?<=[.!?\u2026])[\"'\u201d\u2019)\\]]*\\s+|(?<=[\u3002\uff01\uff1f])|\\n(?=\\s*(?:[-*+\u2022|]|\\d+[.)])\\s)"
)
_LINE_END = re.compile(r"\n")
_SPACE = re.compile(r"\s+")
_WRITTEN = re.compile(r"cut:(\d{1,9})\+(\d{1,9})")


@dataclass(frozen=True)
class Passages:
    """How documents are cut.

    Raises:
        InvalidInputError: fewer than 16 tokens, or an overlap of more than half of them.
    """

    # tokens of the encoder in a passage, without its title
    tokens: int = DEFAULT_TOKENS
    # tokens of the end of a passage that the next one begins with; none across a heading
    overlap: int = 0

    def __post_init__(self) -> None:
        whole("passages", self.tokens, _LEAST)
        whole("overlap", self.overlap)
        if self.overlap > self.tokens // 2:
            raise InvalidInputError(
                f"overlap: at most half of the {self.tokens} tokens of a passage, got {self.overlap}"
            )

    def __str__(self) -> str:
        return f"cut:{self.tokens}+{self.overlap}"

    @classmethod
    def parse(cls, text: str) -> Passages | None:
        """What was written so; None for another text."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            return None
        try:
            return cls(int(match[1]), int(match[2]))
        except InvalidInputError:
            return None


@dataclass(frozen=True, slots=True)
class Span:
    """A passage of a text: `text[start:end]`, and the heading that it stands under."""

    start: int
    end: int
    heading: str = ""


def cut(
    text: str, blocks: Sequence[Block], starts: NDArray[np.int64], tokens: int, *, overlap: int = 0
) -> list[Span]:
    """The passages of a text, in order; together they hold every character that is no white space.

    Args:
        text: any text.
        blocks: its parts, in order.
        starts: int64[...]: the character at which each of its tokens begins.
        tokens: most tokens of a passage.
        overlap: tokens that a passage repeats of the one before, where no heading is between them.
    """
    return _Cutter(text, starts, tokens, overlap).passages(blocks)


class _Cutter:
    def __init__(self, text: str, starts: NDArray[np.int64], tokens: int, overlap: int) -> None:
        self._text, self._starts = text, starts
        self._most, self._overlap = tokens, overlap
        self._made: list[Span] = []
        self._held: list[Block] = []
        self._start = 0  # of the held passage: before its first block, where it overlaps the last one
        self._heading = ""  # in force at its beginning

    def passages(self, blocks: Sequence[Block]) -> list[Span]:
        heading = ""
        for block in blocks:
            if block.kind == "heading":
                if self._body() >= max(self._most // _SMALL, 1):
                    self._flush(continues=False)
                heading = block.title or heading
            for piece in self._pieces(block, self._most - self._headings()):
                self._take(piece, heading)
        self._flush(continues=False)
        return self._made

    def _take(self, piece: Block, heading: str) -> None:
        if self._held and self._count(self._start, piece.end) > self._most:
            self._close(piece)
        if not self._held:
            self._heading = heading
            if (
                self._made and self._start < self._made[-1].end
            ):  # overlaps: perhaps by too much for this piece
                while self._start < piece.start and self._count(self._start, piece.end) > self._most:
                    self._start = self._later(self._start, piece.start)
            else:
                self._start = piece.start
        self._held.append(piece)

    def _close(self, piece: Block) -> None:
        """End the passage before a piece that does not fit; headings at its end go with the piece."""
        moved: list[Block] = []
        while len(self._held) > 1 and self._held[-1].kind == "heading":
            moved.insert(0, self._held.pop())
        if self._held[0].kind == "heading" and len(self._held) == 1:
            self._held += moved
            return self._flush(continues=False)
        self._flush(continues=not moved and piece.kind != "heading")
        if moved:
            self._held, self._start, self._heading = moved, moved[0].start, moved[0].title
            if self._count(self._start, piece.end) > self._most:
                self._flush(continues=False)
        return None

    def _flush(self, *, continues: bool) -> None:
        if not self._held:
            return
        end = self._held[-1].end
        self._made.append(Span(self._start, end, self._heading))
        self._start = self._overlap_start(self._start, end) if continues and self._overlap else end
        self._held = []

    def _count(self, start: int, end: int) -> int:
        first, last = np.searchsorted(self._starts, (start, end))
        return int(last - first)

    def _headings(self) -> int:
        """Tokens that are held, if they are headings alone: what follows has to leave them room."""
        if not self._held or any(block.kind != "heading" for block in self._held):
            return 0
        return min(self._count(self._start, self._held[-1].end), self._most // 2)

    def _body(self) -> int:
        """Tokens of what is held, without its headings."""
        return sum(self._count(b.start, b.end) for b in self._held if b.kind != "heading")

    def _pieces(self, block: Block, most: int) -> Iterator[Block]:
        """The block, in parts that fit: by sentences (of code by lines), and words where one is too long."""
        if self._count(block.start, block.end) <= most:
            yield block
            return
        ends = _LINE_END if block.kind == "code" else _SENTENCE_END
        for start, end in self._split(block.start, block.end, ends):
            if self._count(start, end) <= most:
                yield Block(start, end, "code" if block.kind == "code" else "text")
            else:
                yield from self._words(start, end, most)

    def _split(self, start: int, end: int, at: re.Pattern[str]) -> Iterator[tuple[int, int]]:
        for found in at.finditer(self._text, start, end):
            if found.end() > start and not self._text[start : found.start()].isspace():
                yield start, found.start()
                start = found.end()
        if start < end:
            yield start, end

    def _words(self, start: int, end: int, most: int) -> Iterator[Block]:
        """A stretch without a boundary, cut after as many tokens as fit, before a word where one begins."""
        while self._count(start, end) > most:
            first = int(np.searchsorted(self._starts, start))
            stop = max(int(self._starts[first + most]), start + 1)
            space = max(self._text.rfind(mark, start + 1, stop + 1) for mark in " \n\t")
            if space > (start + stop) // 2:
                stop = space
            yield Block(start, start + len(self._text[start:stop].rstrip()))
            found = _SPACE.match(self._text, stop)
            start = found.end() if found else stop
        yield Block(start, end)

    def _overlap_start(self, start: int, end: int) -> int:
        """Where the last `overlap` tokens begin: at a sentence if one begins among them, else at a word."""
        last = int(np.searchsorted(self._starts, end))
        earliest = max(int(self._starts[max(last - self._overlap, 0)]), start + 1)
        for found in _SENTENCE_END.finditer(self._text, earliest, end):
            return found.end()
        space = _SPACE.search(self._text, earliest, end)
        return space.end() if space else end

    def _later(self, start: int, before: int) -> int:
        """The beginning of the next sentence or word after `start`, at most `before`."""
        space = _SPACE.search(self._text, start + 1, before)
        return space.end() if space else before
