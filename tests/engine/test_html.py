"""Hits and explanations in a notebook: nothing of a document becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from splade_engine import SearchEngine
from tests.fake_encoder import FakeEncoder

HOSTILE = "<script>alert(1)</script><img src=x onerror=y>\"'&amp;\x1b[2J\u202e"
TAGS = {"table", "thead", "tbody", "tr", "th", "td", "b", "br", "i", "small", "mark", "div", "span"}


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    records = [
        {"id": f"{HOSTILE}1", "title": HOSTILE, "text": f"{HOSTILE} moon {HOSTILE}", HOSTILE: HOSTILE},
        {"id": "plain", "text": "The moon and the sea.", "year": 1999},
    ]
    return SearchEngine.build(tmp_path_factory.mktemp("html") / "ix", records, FakeEncoder())


def test_nothing_of_a_document_becomes_markup(engine):
    hits = engine.search("moon", facets=["year", HOSTILE], total=True)
    assert len(hits) == 2
    for shown in (hits, hits[0], hits[0].explain(), hits[1], hits[1].explain()):
        read = Reader(shown._repr_html_())
        assert read.tags <= TAGS
        assert read.attributes <= {"style"}
        assert "\x1b" not in read.words
        assert "\u202e" not in read.words
    read = Reader(hits._repr_html_())
    assert read.words.count("<script>alert(1)</script>") >= 4
    assert "2 of 2 matches" in read.words
    assert "mark" in read.tags


def test_hits_say_what_they_are(engine):
    page = engine.search("moon sea", k=1)._repr_html_()
    assert "The <mark>moon</mark> and the <mark>sea</mark>." in page
    assert "year: 1999" in page
    nothing = engine.search("xyzzy")._repr_html_()
    assert nothing.startswith("<div>No document matches</div><div>nothing in the index is like the query")
    why = engine.search("night", k=2)[0].explain()
    assert "added by the encoder" in why._repr_html_()
    assert "not in the document: bread" in engine.search("moon bread")[0].explain()._repr_html_()


def test_an_explanation_reads_as_text(engine):
    why = engine.search("moon sea bread", k=1)[0].explain()
    lines = repr(why).splitlines()
    assert lines[0].startswith("plain: score ")
    assert lines[2].split()[0] == "moon"
    assert lines[-1] == "not in the document: bread"
    assert all("\x1b" not in line for line in repr(engine.search("moon")[1].explain()).splitlines())
