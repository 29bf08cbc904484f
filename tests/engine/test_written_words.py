"""Words as they are written, on text that every Python brings along: function names and status codes.

An encoder sees such a name as pieces that many names share. What is asserted is that the default search does
as well as BM25 over the same words, and better than terms alone.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest

from splade_engine import SearchEngine
from splade_engine.cli.docstrings import read_docstrings
from splade_engine.index.words.text import words_of

NAMES = 300
_NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")


@pytest.fixture(scope="module")
def documents():
    """{id: (text, the name that it defines)}: functions with an underscore in the name, status codes."""
    found = {}
    for document in read_docstrings():
        name = document.id.rpartition(".")[2]
        if _NAME.fullmatch(name) and len(found) < NAMES:
            found[document.id] = (f"{name}: {document.text[:400]}", name)
    for status in HTTPStatus:
        found[f"http.{status.name}"] = (f"{status.name} {status.phrase}. {status.description}", status.name)
    return found


@pytest.fixture(scope="module")
def engine(documents, tmp_path_factory):
    records = [{"id": id, "text": text} for id, (text, _) in documents.items()]
    return SearchEngine.build(tmp_path_factory.mktemp("written") / "ix", records)


def right(documents, first):
    """How many names find, as the first hit, a document that defines them."""
    return sum(documents[id][1].lower() == name.lower() for name, id in first.items() if id)


@pytest.mark.slow
def test_the_default_finds_names_as_well_as_bm25(documents, engine):
    names = sorted({name for _, name in documents.values()})
    assert len(names) > 250
    hits = engine.search_many(names, 1)
    default = right(documents, {n: h[0].id if h else "" for n, h in zip(names, hits, strict=True)})
    terms = engine.search_many(names, 1, hybrid=False)
    by_terms = right(documents, {n: h[0].id if h else "" for n, h in zip(names, terms, strict=True)})
    reader = engine.index.reader
    words = {name: reader.search_words(words_of(name), 1)[0] for name in names}
    bm25 = right(documents, {n: reader.ids(o)[0] if len(o) else "" for n, o in words.items()})
    assert default >= bm25 > 0.9 * len(names)
    assert default > by_terms
