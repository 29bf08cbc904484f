"""The links of a page, as its author wrote them: where they lead is decided by who knows the other pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_FENCED = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
# [text](target "title") and [text](<target>); the target may hold one pair of brackets
_INLINE = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*(?:<([^<>\n]*)>|((?:[^\s()]|\([^\s()]*\))+))")
_DEFINED = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
_WIKI = re.compile(r"(?<!!)\[\[([^\[\]|\n]+)(?:\|[^\[\]\n]*)?\]\]")


def markdown_links(text: str) -> list[str]:
    """Targets of `[text](target)`, `[label]: target`, `[[page]]` and of tags, each once, in order."""
    shown = _CODE.sub(" ", _FENCED.sub(" ", text))
    found = [(m.start(), m[1] or m[2]) for m in _INLINE.finditer(shown)]
    found += [(m.start(), m[1]) for m in _DEFINED.finditer(shown)]
    found += [(m.start(), m[1].strip()) for m in _WIKI.finditer(shown)]
    return list(dict.fromkeys([target for _, target in sorted(found)] + html_links(shown)))


def html_links(text: str) -> list[str]:
    """The `href` of each `<a>`, each once, in order."""
    page = _Anchors()
    page.feed(text)
    page.close()
    return list(dict.fromkeys(page.targets))


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            self.targets.append(href.strip())
