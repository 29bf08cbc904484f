"""HTML pages: what a reader sees of them, with headings, code and the lines of the file."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from splade_engine.collections.readers.decoding import decoded, is_encoding
from splade_engine.collections.readers.kind import FileName, FileText, TextBuilder

_HEADINGS = {f"h{level}" for level in range(1, 7)}
# their content is no text of the page; navigation says the same on every page
_SKIPPED = {
    *("head", "iframe", "math", "nav", "noscript", "object", "script", "select", "style", "svg", "template"),
}
_BLOCKS = _HEADINGS | {
    *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li"),
    *("main", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"),
}
_CELLS = {"td", "th"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_CHARSET = re.compile(
    rb"""(?:\A\s*<\?xml[^>]+encoding|<meta[^>]+charset)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
_SPACE = re.compile(r"\s+")


def html(data: bytes, file: FileName) -> FileText:
    """The title is the page's `<title>`, else its first heading."""
    return _read(_text(data, file))


def add_html(builder: TextBuilder, source: str) -> str:
    """Add the text of a page to others, without its lines; its title, "" where it has none."""
    found = _read(source)
    builder.add_all(found.text, found.blocks)
    return found.title


def _read(source: str) -> FileText:
    page = _Page()
    page.feed(_closed(source))
    page.close()
    return page.finished()


def _closed(source: str) -> str:
    """The same page for the parser, which looks for the end of each tag and comment to the end of the page.

    What nothing closes is text to it, after a search that takes the time of all the rest: 100 kB of `<a b="`
    took 20 s, four times as many sixteen times as long.
    """
    comments, tags = source.rfind("-->") + 1, source.rfind(">") + 1
    source = source[:tags] + source[tags:].replace("<", "&lt;")
    return source[:comments] + source[comments:].replace("<!--", "&lt;!--")


def _text(data: bytes, file: FileName) -> str:
    declared = _CHARSET.search(data[:4096])
    encoding = file.encoding
    if declared:
        name = declared[1].decode("ascii", "replace").lower()
        # what pages call Latin-1 is Windows' code page, as browsers know; and one in which the declaration
        # could not be read, such as UTF-16, is none
        if is_encoding(name) and declared[0].decode(name, "replace") == declared[0].decode(
            "ascii", "replace"
        ):
            encoding = "cp1252" if name in ("latin-1", "iso-8859-1", "ascii", "us-ascii") else name
    return decoded(data, file.place, encoding)


class _Page(HTMLParser):
    """Collects blocks; an end tag that is missing or too much does no harm."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._builder = TextBuilder()
        self._pieces: list[str] = []
        self._line = 0  # of the first piece
        self._kind = "text"
        self._skipping = ""  # the tag whose end is awaited
        self._depth = 0  # of elements of that name
        self._in_title = False
        self._title: list[str] = []

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """`<![foo ...>` is a comment, as browsers take it; the parser fails over words unknown to it."""
        return self.parse_bogus_comment(i, report)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        if tag == "title" and not self._title and self._skipping in ("", "head"):
            self._in_title = True
            return
        if self._skipping == "head" and (tag == "body" or tag in _BLOCKS):  # its end tag may be left out
            self._skipping = ""
        if self._skipping:
            self._depth += tag == self._skipping
            return
        if tag in _SKIPPED:
            self._flush()
            self._skipping, self._depth = tag, 1
        elif tag in _BLOCKS:
            self._flush()
            self._kind = "heading" if tag in _HEADINGS else "code" if tag == "pre" else self._kind
            if tag == "li":
                self._pieces.append("- ")
        elif tag == "br":
            self._pieces.append("\n")
        elif tag in _CELLS and self._pieces:
            self._pieces.append(" | ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag without content, `<br/>`: an element that may have content and has none is nothing."""
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """A tag ends."""
        if tag == "title":
            self._in_title = False
        if self._skipping:
            self._depth -= tag == self._skipping
            if self._depth <= 0:
                self._skipping = ""
            return
        if tag in _BLOCKS:
            self._flush()
            if tag in _HEADINGS or tag == "pre":
                self._kind = "text"

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if self._in_title:
            self._title.append(data)
        elif not self._skipping:
            if not self._line and not data.isspace():
                self._line = self.getpos()[0] + len(data[: len(data) - len(data.lstrip())].split("\n")) - 1
            self._pieces.append(data if self._kind == "code" else _SPACE.sub(" ", data))

    def finished(self) -> FileText:
        """What was read."""
        self._flush()
        blocks = self._builder.blocks
        heading = next((block.title for block in blocks if block.kind == "heading"), "")
        return self._builder.finished(_SPACE.sub(" ", "".join(self._title)).strip() or heading, "line")

    def _flush(self) -> None:
        text = "".join(self._pieces)
        line, self._line = self._line, 0
        self._pieces = []
        if not text.strip(" -|\n"):
            return
        if self._kind == "code":
            self._builder.add(text, "code", number=line)
        elif self._kind == "heading":
            title = " ".join(text.split())
            self._builder.add(title, "heading", title=title, number=line)
        else:
            lines = (" ".join(part.split()) for part in text.split("\n"))
            self._builder.add("\n".join(lines), number=line)
