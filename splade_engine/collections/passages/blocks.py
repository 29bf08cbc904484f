"""The parts of a text that belong together: headings, paragraphs, blocks of code.

A block is a stretch of the text and nothing is copied, so a passage is always the text as it was written.
Blocks come in order, do not overlap, and hold every character that is no white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Block:
    """`text[start:end]`, without white space around it."""

    start: int
    end: int
    kind: Literal["text", "code", "heading"] = "text"
    # of a heading, what it says without its markup
    title: str = ""


_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$")
# reStructuredText underlines with any mark, Markdown with the first two
_UNDERLINE = re.compile(r"(=+|-+|~+|\^+|\"+|'+|\*+|\++|#+)[ \t]*$")
_LIKE_MARKDOWN = re.compile(r"^ {0,3}(?:#{1,6}[ \t]+\S|`{3}|~{3})", re.MULTILINE)
_LINKED = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR = re.compile(r"\s*\{#[^}]*\}|<[^>]+>")
_MARKS = re.compile(r"(?<!\w)[*_]{1,3}(?=\S)(.+?)(?<=\S)[*_]{1,3}(?!\w)")
_LONGEST_TITLE = 200  # characters of a heading that go into a title


def text_blocks(text: str) -> list[Block]:
    """The blocks of a text that says nothing of itself: of Markdown, if it has its headings or fences."""
    return markdown_blocks(text) if _LIKE_MARKDOWN.search(text) else plain_blocks(text)


def plain_blocks(text: str) -> list[Block]:
    """Paragraphs between blank lines."""
    return list(_paragraphs(text, list(_lines(text))))


def markdown_blocks(text: str, *, underlines: str = "=-", fences: bool = True) -> list[Block]:
    """Headings, fenced code, and paragraphs.

    Args:
        text: Markdown; reStructuredText where `underlines` says so.
        underlines: the marks that make a heading of the line above them.
        fences: whether lines of backticks or tildes enclose code.
    """
    blocks: list[Block] = []
    held: list[tuple[int, int]] = []  # lines of text
    fence, opened = "", 0

    def flush() -> None:
        blocks.extend(_paragraphs(text, held))
        held.clear()

    for start, end in _lines(text):
        line = text[start:end]
        mark = _FENCE.match(line) if fences else None
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                blocks += _trimmed(text, opened, end, "code")
                fence = ""
            continue
        if mark:
            flush()
            fence, opened = mark[1], start
        elif found := _HEADING.match(line.rstrip("\n")):
            flush()
            blocks += _trimmed(text, start, end, "heading", heading_title(found[1]))
        elif _underlined(text, held, line, underlines):
            title = held.pop()
            flush()
            blocks += _trimmed(text, title[0], end, "heading", heading_title(text[slice(*title)]))
        else:
            held.append((start, end))
    flush()
    if fence:  # never closed: the rest is code
        blocks += _trimmed(text, opened, len(text), "code")
    return blocks


def heading_title(text: str) -> str:
    """What a heading says, without links, emphasis, code marks and anchors; at most 200 characters."""
    plain = _LINKED.sub(r"\1", text.replace("`", ""))
    plain = _MARKS.sub(r"\1", _ANCHOR.sub("", plain)).replace("\\", "")
    return " ".join(plain.split())[:_LONGEST_TITLE].rstrip()


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of every line, its line feed included."""
    for found in _LINE.finditer(text):
        if found.end() > found.start():
            yield found.span()


def _underlined(text: str, held: list[tuple[int, int]], line: str, marks: str) -> bool:
    """Whether a line makes a heading of the one above it, which follows a blank line or an overline."""
    line = line.strip()
    if not held or not line or line[0] not in marks or not _UNDERLINE.match(line):
        return False
    above = text[slice(*held[-1])].strip()
    if not above or len(line) < min(len(above), 3) or above.startswith(("|", ">", "- ", "* ")):
        return False
    before = text[slice(*held[-2])].strip() if len(held) > 1 else ""
    return not before or _UNDERLINE.match(before) is not None


def _paragraphs(text: str, lines: list[tuple[int, int]]) -> Iterator[Block]:
    first: int | None = None
    last = 0
    for start, end in lines:
        if text[start:end].isspace():
            if first is not None:
                yield from _trimmed(text, first, last)
            first = None
        else:
            first = start if first is None else first
            last = end
    if first is not None:
        yield from _trimmed(text, first, last)


def _trimmed(
    text: str, start: int, end: int, kind: Literal["text", "code", "heading"] = "text", title: str = ""
) -> list[Block]:
    """The stretch without white space around it, as a list of one; empty where nothing is left."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    size = len(piece.strip())
    return [Block(start + left, start + left + size, kind, title)] if size else []
