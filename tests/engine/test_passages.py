"""Long documents with the bundled encoder: what stands on the last page is found, with its place."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from splade_engine import SearchEngine, SparseEncoder
from splade_engine.errors import InvalidInputError

TOPICS = (
    "bakery",
    "railway",
    "harbour",
    "orchestra",
    "vineyard",
    "glacier",
    "pharmacy",
    "circus",
    "quarry",
    "hospital",
)
NEEDLE = "The keeper of the lighthouse repairs clocks on Thursday afternoons."


@pytest.fixture(scope="module")
def encoder() -> SparseEncoder:
    return SparseEncoder.load()


@pytest.fixture(scope="module")
def book() -> str:
    chapters = [
        f"# About the {topic}\n\n"
        + " ".join(f"Visitor number {i} of the {topic} wrote {i * 3} lines about it." for i in range(15))
        for topic in TOPICS
    ]
    return "\n\n".join([*chapters, f"# Notes\n\n{NEEDLE} Nothing else is known."])


def test_the_right_passage_of_a_long_document_is_found(
    encoder: SparseEncoder, book: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    records = [
        {"id": "book", "title": "Travels", "text": book},
        {"id": "other", "text": "Bread needs yeast."},
    ]
    whole = SearchEngine.build(tmp_path / "whole", records, encoder)
    (said,) = [m for m in caplog.messages if "cut there" in m]
    assert said.startswith("1 text was longer than 512 tokens (max_length) and cut there ('book'); ")
    assert "tokens are not searched; --passages" in said
    assert not [
        hit
        for hit in whole.search("who repairs clocks in the lighthouse", k=2)
        if "lighthouse" in hit.text[:900]
    ]
    caplog.clear()
    engine = SearchEngine.build(tmp_path / "passages", records, encoder, passages=200)
    assert not [m for m in caplog.messages if "cut there" in m]
    best = engine.search("who repairs clocks in the lighthouse", k=3)[0]
    assert NEEDLE in best.text and best.metadata["parent"] == "book" and best.title == "Travels: Notes"
    assert book[best.metadata["start_char"] : best.metadata["end_char"]] == best.text
    assert engine.search("visitors of the vineyard", k=1)[0].title == "Travels: About the vineyard"
    grouped = engine.search("visitors of the vineyard", k=2, group_by="parent")
    assert [hit.metadata["parent"] for hit in grouped][:1] == ["book"]
    assert [len({hit.metadata["parent"] for hit in grouped})] == [len(grouped)]


def test_a_file_says_the_lines(encoder: SparseEncoder, book: str, tmp_path: Path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "travels.md").write_text(book)
    engine = SearchEngine.build(tmp_path / "index", tmp_path / "notes", encoder)
    best = engine.search("who repairs clocks in the lighthouse", k=1)[0]
    lines = book.split("\n")
    assert best.metadata["parent"] == "travels.md"
    assert "\n".join(lines[best.metadata["line"] - 1 : best.metadata["last_line"]]) == best.text


def test_an_interrupted_encoding_is_resumed_with_what_was_cut(
    encoder: SparseEncoder, book: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """What was counted of a finished shard comes from its record."""
    from splade_engine.collections.corpus import Corpus
    from splade_engine.engine.encoding import encode_corpus

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            encode_corpus(Corpus([{"id": "book", "text": book}]), encoder, tmp_path / "work")
    first, second = [m for m in caplog.messages if "cut there" in m]
    assert first == second and "'book'" in second


# ---- what is changed later is cut as the index was ------------------------------------------------------


@pytest.fixture
def cut(encoder: SparseEncoder, book: str, tmp_path: Path) -> SearchEngine:
    records = [{"id": "book", "title": "Travels", "text": book}, {"id": "other", "text": "Bread is baked."}]
    return SearchEngine.build(tmp_path / "cut", records, encoder, passages=100)


def ids_of(engine: SearchEngine, document: str) -> list[str]:
    return [id for id in engine.index.ids() if id == document or id.startswith(f"{document}#")]


@pytest.mark.parametrize("change", ["add", "update"])
def test_added_records_are_cut_as_those_of_the_index(cut: SearchEngine, book: str, change: str):
    getattr(cut, change)([{"id": "second", "title": "Travels", "text": book}])
    there = ids_of(cut, "second")
    assert len(there) == len(ids_of(cut, "book")) > 3
    assert [d.text for d in cut.get(there)] == [d.text for d in cut.get(ids_of(cut, "book"))]
    cut.add([{"id": "whole", "text": book}], passages=512)  # unless it is asked for
    assert len(ids_of(cut, "whole")) < len(there)


def test_an_index_that_was_not_cut_stays_so(encoder: SparseEncoder, book: str, tmp_path: Path):
    engine = SearchEngine.build(tmp_path / "ix", [{"id": "other", "text": "Bread is baked."}], encoder)
    engine.add([{"id": "book", "text": book}])
    assert ids_of(engine, "book") == ["book"]


def test_a_shorter_version_leaves_no_passage_of_the_longer(cut: SearchEngine):
    cut.update([{"id": "book", "text": "Only this is left."}])
    assert ids_of(cut, "book") == ["book"]
    assert cut.get(["book"])[0].metadata["parent"] == "book"


def test_a_passage_that_is_put_back_leaves_its_siblings(cut: SearchEngine):
    before = ids_of(cut, "book")
    passage = cut.get([before[1]])[0]
    cut.update([replace(passage, metadata={**passage.metadata, "seen": True})])
    assert sorted(ids_of(cut, "book")) == sorted(before)
    assert cut.get([before[1]])[0].metadata == {**passage.metadata, "seen": True}
    cut.update([{"id": "book", "text": "Only this is left."}])
    assert ids_of(cut, "book") == ["book"]  # it is still known as a passage of the book


def test_deleting_a_document_deletes_its_passages(cut: SearchEngine):
    with pytest.raises(InvalidInputError, match="no document with id 'nobody'"):
        cut.delete(["book", "nobody"])
    assert len(ids_of(cut, "book")) > 3
    cut.delete(["book"])
    assert cut.index.ids() == ["other"]
