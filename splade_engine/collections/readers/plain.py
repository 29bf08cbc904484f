"""Text, Markdown and reStructuredText files."""

from __future__ import annotations

import re

from splade_engine.collections.passages import Block, markdown_blocks, text_blocks
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.kind import FileName, FileText, Places

_LINE_END = re.compile("\n")
# of YAML
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(?:.*\n)*?(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)")
_TITLE = re.compile(r"(?m)^title[ \t]*:[ \t]*(\S.*)$")
_ANYTHING = re.compile(r"[^\n]")
_RST_MARKS = "=-~^\"'*+#"


def text(data: bytes, file: FileName) -> FileText:
    """Paragraphs; headings and code where they are marked as in Markdown."""
    content = decoded(data, file.place, file.encoding)
    return FileText(content, text_blocks(content), "", line_places(content))


def markdown(data: bytes, file: FileName) -> FileText:
    """The title is that of the front matter, which is no text, or else the first heading."""
    content = decoded(data, file.place, file.encoding)
    front = _FRONT_MATTER.match(content)
    head = front[0] if front else ""
    # spaces in its place: blocks keep their places in the file
    blocks = markdown_blocks(_ANYTHING.sub(" ", head) + content[len(head) :])
    title = _TITLE.search(head)
    named = title[1].strip().strip("\"'") if title else ""
    return FileText(content, blocks, named or _first_heading(blocks), line_places(content))


def restructured(data: bytes, file: FileName) -> FileText:
    """The title is the first heading: a line with marks below it."""
    content = decoded(data, file.place, file.encoding)
    blocks = markdown_blocks(content, underlines=_RST_MARKS, fences=False)
    return FileText(content, blocks, _first_heading(blocks), line_places(content))


def line_places(content: str) -> Places:
    """The lines of a text that is the file itself."""
    return Places("line", [0, *(found.end() for found in _LINE_END.finditer(content))])


def _first_heading(blocks: list[Block]) -> str:
    return next((block.title for block in blocks if block.kind == "heading" and block.title), "")
