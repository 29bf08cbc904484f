"""Text, Markdown and reStructuredText files."""

from __future__ import annotations

import re

from splade_engine.collections.passages import Block, markdown_blocks, text_blocks
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.kind import FileName, FileText, Places

_LINE_END = re.compile("\n")
# of YAML: every line of it has a key, belongs to the one above, or says nothing
_FRONT_MATTER = re.compile(
    r"---[ \t]*\n(?=[\w\"'.:-]+[ \t]*:(?:\s|$))"
    r"(?:(?:[\w\"'.:-]+[ \t]*:(?:[ \t].*)?|[ \t].*|-(?:[ \t].*)?|[#\]}].*|)\n)*?"
    r"(?:---|\.\.\.)[ \t]*(?:\n|\Z)"
)
_TITLE = re.compile(r"(?m)^[\"']?title[\"']?[ \t]*:[ \t]*(.*(?:\n[ \t]+\S.*)*)$")
_QUOTED = re.compile(r"""\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)'""")
_LONGEST_TITLE = 200  # characters, as of a heading
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
    return FileText(content, blocks, _yaml_title(head) or _first_heading(blocks), line_places(content))


def _yaml_title(head: str) -> str:
    """The title in front matter; "" where there is none, or none that is a text."""
    found = _TITLE.search(head)
    value = " ".join(found[1].split()) if found else ""
    value = re.sub(r"^(?:[&!]\S*\s+)+", "", value)  # an anchor, a tag
    if quoted := _QUOTED.match(value):
        return _shortened((quoted[1] or "").replace('\\"', '"') or (quoted[2] or "").replace("''", "'"))
    value = re.sub(r"^[|>][-+0-9]*(?:\s|$)", "", value)  # lines of a block
    if value[:1] in tuple("*&![{") or value.lower() in ("null", "~"):
        return ""
    return _shortened(re.split(r"\s#|^#", value)[0])


def _shortened(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= _LONGEST_TITLE else title[:_LONGEST_TITLE].rsplit(" ", 1)[0]


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
