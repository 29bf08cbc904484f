"""The files that are documents: a table of kinds, each a function from bytes to text with its structure.

A new kind of file is a module beside this one and a row here. Files of records (JSONL, CSV, ...), which hold
many documents, have a table of the same form in `formats.py`.
"""

from __future__ import annotations

from splade_engine.collections.readers.archives import docx, epub
from splade_engine.collections.readers.html import html
from splade_engine.collections.readers.kind import FileKind, FileName, FileText, Places
from splade_engine.collections.readers.links import html_links, markdown_links
from splade_engine.collections.readers.notebook import notebook
from splade_engine.collections.readers.pdf import pdf
from splade_engine.collections.readers.plain import markdown, restructured, text
from splade_engine.collections.readers.source_code import source_code

__all__ = ["FILE_KINDS", "FileKind", "FileName", "FileText", "Places", "kind_of_file"]

_CODE = (
    ".c .cc .cpp .cs .cxx .dart .el .ex .go .h .hh .hpp .hs .java .jl .js .jsx .kt .lua .m .mjs .ml .mm .php "
    ".pl .proto .ps1 .py .r .rb .rs .scala .sh .sql .swift .ts .tsx .zig"
)
FILE_KINDS = (
    FileKind("text", (".txt", ".text", ".org", ".adoc", ".tex"), text),
    FileKind("Markdown", (".md", ".markdown", ".mdx", ".qmd", ".rmd"), markdown, markdown_links),
    FileKind("reStructuredText", (".rst",), restructured),
    FileKind("HTML", (".html", ".htm", ".xhtml"), html, html_links),
    FileKind("PDF", (".pdf",), pdf),
    FileKind("DOCX", (".docx",), docx),
    FileKind("EPUB", (".epub",), epub),
    FileKind("notebooks", (".ipynb",), notebook),
    FileKind("source code", tuple(_CODE.split()), source_code),
)
_BY_SUFFIX = {suffix: kind for kind in FILE_KINDS for suffix in kind.suffixes}


def kind_of_file(suffix: str) -> FileKind | None:
    """The kind of files of a suffix in lower case, ".md"; None where they are not read."""
    return _BY_SUFFIX.get(suffix)
