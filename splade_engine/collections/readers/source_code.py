"""Source code: each function, class and type is a section, titled by the line that declares it.

No parser is asked, one for every language would be too much: a declaration is a line that begins as one.
"""

from __future__ import annotations

import re

from splade_engine.collections.passages import Block
from splade_engine.collections.readers.decoding import decoded
from splade_engine.collections.readers.kind import FileName, FileText
from splade_engine.collections.readers.plain import line_places

_BEFORE = (
    "export|default|public|private|protected|internal|static|async|abstract|final|sealed|unsafe|extern|"
    r"inline|virtual|override|open|data|partial|pub(?:\([^)]*\))?|local|declare|const"
)
_WORDS = "def|class|function\\*?|func|fun|fn|impl|struct|interface|trait|enum|protocol|extension|namespace"
# a keyword, and what no sentence of a comment has: a parenthesis, or a brace or colon at the end
_DECLARES = re.compile(rf"[ \t]*(?:(?:{_BEFORE})\s+)*(?:{_WORDS})\b(?:[^\n(]*\(|[^\n]*[{{:]\s*$)")
_SQL = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:table|view|function|procedure|trigger|index)\b", re.IGNORECASE
)
# C, C++, Java and C# name no keyword: a line at the margin with a name, a parenthesis and no semicolon
_C_LIKE = re.compile(r"[A-Za-z_][\w \t*&<>:,~\[\]]*\([^;\n]*$")
_C_SUFFIXES = {".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".m", ".mm"}
_NO_DECLARATION = re.compile(r"\s*(?:if|for|while|switch|return|else|do|catch|typedef)\b")
# comments and decorators directly above a declaration belong to it
_ABOVE = re.compile(r"\s*(?:#|//|/\*|\*|@|--|;;|%|\[)")
_MOST = 160  # characters of a declaration that are its title


def source_code(data: bytes, file: FileName) -> FileText:
    """Paragraphs of code, with its declarations as headings."""
    content = decoded(data, file.place, file.encoding)
    c_like = file.suffix in _C_SUFFIXES
    blocks: list[Block] = []
    first: int | None = None  # of the paragraph under way
    above: int | None = None  # of the comments and decorators right before this line
    at = 0
    for line in content.splitlines(keepends=True):
        start, at = at, at + len(line)
        bare = line.strip()
        if not bare:
            blocks += _block(content, first, start)
            first = above = None
            continue
        declared = not _NO_DECLARATION.match(line) and (
            _DECLARES.match(line)
            or (c_like and _C_LIKE.match(line.rstrip()))
            or (file.suffix == ".sql" and _SQL.match(line))
        )
        if declared:
            begin = start if above is None else above
            blocks += _block(content, first, begin)
            stop = start + len(line.rstrip())
            blocks.append(Block(_without_space(content, begin), stop, "heading", _title(bare)))
            first, above = None, None
            continue
        first = start if first is None else first
        above = (start if above is None else above) if _ABOVE.match(line) else None
    blocks += _block(content, first, len(content))
    return FileText(content, blocks, "", line_places(content))


def _block(content: str, start: int | None, end: int) -> list[Block]:
    if start is None:
        return []
    stop = start + len(content[start:end].rstrip())
    start = _without_space(content, start)
    return [Block(start, stop, "code")] if stop > start else []


def _without_space(content: str, start: int) -> int:
    while start < len(content) and content[start].isspace():
        start += 1
    return start


def _title(line: str) -> str:
    return " ".join(line.rstrip("{: \t").split())[:_MOST]
