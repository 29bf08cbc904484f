"""SearchEngine with a fake encoder and a real index: building, opening, searching, changing."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

import pytest

from splade_engine import SearchEngine
from splade_engine.collections import Document
from splade_engine.errors import (
    CheckpointError,
    DatasetError,
    EncoderMismatchError,
    IndexCorruptError,
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    StorageError,
)
from splade_engine.index import IndexReader, SparseIndex
from splade_engine.vectors import SparseVectors
from tests.fake_encoder import FakeEncoder

CORPUS = [
    Document(
        "tides", "The moon pulls the sea, and the sea makes a tide.", "Tides", {"year": 1999, "lang": "en"}
    ),
    Document("bread", "Bread needs yeast and flour.", "", {"year": 2005, "tags": ["food", "warm"]}),
    Document("ship", "A ship needs wind; a small ship needs a small wind.", "", {"nested": {"a": [1, None]}}),
    Document("storm", "Storm, wave and wind in a cold sea.", "Sea storm"),
]


@pytest.fixture
def engine(tmp_path):
    return SearchEngine.build(tmp_path / "ix", CORPUS, FakeEncoder())


def ids(hits):
    return [hit.id for hit in hits]


def test_build_and_search(engine, tmp_path):
    hits = engine.search("moon tide", k=2)
    assert ids(hits) == ["tides"]
    assert hits[0].rank == 1
    assert hits[0].score == pytest.approx(2 * 0.6931, rel=1e-3)  # log1p(1), twice
    assert hits[0].title == "Tides"
    assert hits[0].text == CORPUS[0].text
    assert [path.name for path in tmp_path.iterdir()] == ["ix"], "the work folder is gone"
    assert len(engine) == 4


def test_metadata_comes_back_as_it_was(engine):
    found = {hit.id: hit.metadata for hit in engine.search("moon bread ship storm", k=10)}
    assert found == {document.id: dict(document.metadata) for document in CORPUS}


def test_where_filters_on_metadata(engine):
    assert ids(engine.search("needs the sea", k=10, where="year >= 2000")) == ["bread"]
    assert ids(engine.search("needs the sea", k=10, where={"lang": "en"})) == ["tides"]
    assert ids(engine.search("needs the sea", k=10, where={"tags": "food"})) == ["bread"]


def test_every_query_keeps_its_place(engine):
    pages = engine.search_many(["moon", "xyzzy", "", "bread wind"], k=3)
    assert [ids(page) for page in pages] == [["tides"], [], [], ["ship", "bread", "storm"]]
    assert engine.search("xyzzy") == []


def test_exact_and_default_agree(engine):
    for query in ("sea wind", "a ship", "cold water moon"):
        exact = engine.search(query, exact=True)
        assert [(h.id, h.score) for h in exact] == [(h.id, h.score) for h in engine.search(query)]


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_k_must_be_a_positive_integer(engine, k):
    with pytest.raises(InvalidInputError, match="k "):
        engine.search("moon", k=k)


def test_a_query_is_a_string(engine):
    with pytest.raises(InvalidInputError, match="query: a string"):
        engine.search(["moon"])


def test_texts_are_read_only_when_asked_for(engine, monkeypatch):
    def unreadable(self, ordinals):
        raise OSError("gone")

    monkeypatch.setattr(IndexReader, "payload", unreadable)
    hits = engine.search("sea wind", k=3)
    assert ids(hits) == ["storm", "tides", "ship"]
    with pytest.raises(OSError, match="gone"):
        hits[0].text  # noqa: B018


def test_a_search_opens_nothing(engine, monkeypatch):
    """Hits keep the generation that they were found in; that must not cost opening and checking it again."""
    before = [hit.id for hit in engine.search("ship sea")]

    def opened(*args, **options):
        raise AssertionError("the index was opened again")

    monkeypatch.setattr("splade_engine.index.reader.open_snapshot", opened)
    assert [hit.id for hit in engine.search("ship sea")] == before != []


def test_hits_stay_true_when_the_index_changes(engine):
    hits = engine.search("sea wind", k=3)
    engine.delete(["tides"])
    engine.compact()  # every ordinal is another one now
    assert [hit.text for hit in hits] == [CORPUS[3].text, CORPUS[0].text, CORPUS[2].text]
    assert hits[2].explain().matches[0].words == ("wind",)


def test_one_read_serves_all_hits_of_a_query(engine, monkeypatch):
    calls = []
    original = IndexReader.payload
    monkeypatch.setattr(IndexReader, "payload", lambda self, o: calls.append(1) or original(self, o))
    hits = engine.search("sea wind", k=3)
    assert [hit.text and hit.title is not None and hit.metadata is not None for hit in hits] == [True] * 3
    assert len(calls) == 1


# ---- explaining -------------------------------------------------------------------------------------


def test_explain_adds_up_and_tells_words_from_expansions(engine):
    hit = engine.search("night sea bread", k=4)[0]
    why = hit.explain()
    assert hit.id == "tides"
    assert why.score == pytest.approx(hit.score, rel=1e-5)
    assert sum(match.share for match in why.matches) == pytest.approx(1)
    by_term = {match.term: match for match in why.matches}
    assert list(by_term) == ["sea", "night"]
    assert by_term["sea"].words == ("sea",)
    assert by_term["sea"].contribution == by_term["sea"].query_weight * by_term["sea"].document_weight
    assert by_term["night"].is_expansion
    assert why.missing == (("bread", 1.0),)
    assert [hit.text[a:b] for a, b in why.text_spans] == ["sea", "sea"]
    assert "(added by the encoder)" in str(why)


def test_explain_finds_words_in_the_title_too(engine):
    why = engine.search("storm", k=1)[0].explain()
    assert why.matches[0].words == ("storm",)
    assert (why.title_spans, why.text_spans) == (((4, 9),), ((0, 5),))


def test_an_index_of_vectors_alone_has_hits_without_text(tmp_path):
    encoder = FakeEncoder()
    SparseIndex.build(tmp_path / "ix", encoder.encode_documents(["moon", "sea"]), ["m", "s"])
    hit = SearchEngine.open(tmp_path / "ix", encoder).search("sea")[0]
    assert (hit.id, hit.title, hit.text, hit.metadata) == ("s", "", "", {})
    assert hit.explain().matches[0].is_expansion


# ---- opening ----------------------------------------------------------------------------------------


def test_open_loads_the_recorded_encoder(engine, monkeypatch):
    loaded = []

    def load(source=None, **options):
        loaded.append((source, options["max_length"]))
        return FakeEncoder()

    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", load)
    assert ids(SearchEngine.open(engine.path).search("bread")) == ["bread"]
    assert loaded == [(None, 64)]


def test_any_path_opens(engine):
    assert len(SearchEngine.open(PurePosixPath(engine.path), engine.encoder)) == len(engine)


def test_another_encoder_is_refused_by_what_differs(engine):
    with pytest.raises(EncoderMismatchError, match=r"another encoder \(max_length 64, now 32\)"):
        SearchEngine.open(engine.path, FakeEncoder(max_length=32))


def test_an_encoder_under_another_name_is_the_same(engine):
    assert ids(SearchEngine.open(engine.path, FakeEncoder(name="copy")).search("bread")) == ["bread"]


def test_an_encoder_that_is_gone(tmp_path, monkeypatch):
    encoder = FakeEncoder()
    encoder.source = str(tmp_path / "model")
    engine = SearchEngine.build(tmp_path / "ix", CORPUS, encoder)

    def load(source=None, **options):
        raise CheckpointError(f"{source}: no such folder")

    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", load)
    with pytest.raises(CheckpointError, match=r"its encoder .*/model cannot be loaded: .*no such folder"):
        SearchEngine.open(engine.path)


def test_an_index_without_an_encoder_needs_one(tmp_path):
    SparseIndex.build(tmp_path / "ix", FakeEncoder().encode_documents(["moon"]))
    with pytest.raises(EncoderMismatchError, match="does not say which encoder"):
        SearchEngine.open(tmp_path / "ix")
    wider = SparseVectors.from_dicts([{0: 1.0}], 7)
    SparseIndex.build(tmp_path / "other", wider)
    with pytest.raises(EncoderMismatchError, match="7 terms, but the encoder has"):
        SearchEngine.open(tmp_path / "other", FakeEncoder())


def test_no_index_and_a_damaged_one(engine, tmp_path):
    with pytest.raises(IndexNotFoundError):
        SearchEngine.open(tmp_path / "nothing", FakeEncoder())
    file = next(engine.path.glob("*.payload"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(IndexCorruptError):
        SearchEngine.open(engine.path, FakeEncoder())


# ---- building ---------------------------------------------------------------------------------------


def test_an_interrupted_build_leaves_nothing_at_the_target_and_goes_on(tmp_path):
    corpus = [f"moon sea {i}" for i in range(2000)]
    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(tmp_path / "ix", corpus, FakeEncoder(fail_after=1200))
    assert not (tmp_path / "ix").exists()
    assert (tmp_path / "ix.encoding").is_dir()
    encoder = FakeEncoder()
    engine = SearchEngine.build(tmp_path / "ix", corpus, encoder)
    assert encoder.encoded == 2000 - 1024
    assert len(engine) == 2000
    assert not (tmp_path / "ix.encoding").exists()


def test_an_existing_folder_is_refused_before_anything_is_encoded(engine, tmp_path):
    encoder = FakeEncoder()
    with pytest.raises(IndexExistsError, match="exists already"):
        SearchEngine.build(engine.path, ["sun"], encoder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexExistsError):
        SearchEngine.build(tmp_path / "file", ["sun"], encoder)
    assert encoder.encoded == 0
    assert len(SearchEngine.open(engine.path, encoder)) == 4


def test_overwrite_replaces(engine):
    SearchEngine.build(engine.path, ["moon"], FakeEncoder(), overwrite=True)
    assert len(SearchEngine.open(engine.path, FakeEncoder())) == 1


def test_a_failed_overwrite_keeps_the_old_index(engine):
    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(engine.path, ["moon"], FakeEncoder(fail_after=0), overwrite=True)
    assert len(SearchEngine.open(engine.path, FakeEncoder())) == 4


def test_bad_input_is_found_before_anything_is_encoded(tmp_path):
    encoder = FakeEncoder()
    with pytest.raises(DatasetError, match="document 3: duplicate id 'a'"):
        SearchEngine.build(tmp_path / "ix", [*CORPUS[:2], Document("a", "x"), Document("a", "y")], encoder)
    assert encoder.encoded == 0
    assert list(tmp_path.iterdir()) == []


def test_empty_documents_are_kept_only_on_demand(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "splade_engine"):
        engine = SearchEngine.build(tmp_path / "ix", ["moon", ""], FakeEncoder(), allow_empty=True)
    assert len(engine) == 2
    assert "1 documents have neither title nor text" in caplog.text


def test_options_reach_the_encoder(tmp_path):
    encoder = FakeEncoder()
    SearchEngine.build(tmp_path / "ix", CORPUS, encoder, top_k=7)
    assert encoder.options == [{"top_k": 7}]


# ---- changing ---------------------------------------------------------------------------------------


def test_add_update_delete_compact(engine):
    engine.add([Document("star", "A star in the night sky.")])
    assert ids(engine.search("star")) == ["star"]
    engine.update([Document("bread", "No yeast: salt water.")])
    assert ids(engine.search("flour")) == []
    assert engine.search("salt")[0].text == "No yeast: salt water."
    engine.delete(["ship"])
    assert ids(engine.search("ship")) == []
    engine.compact()
    assert sorted(engine.index.ids()) == ["bread", "star", "storm", "tides"]
    with pytest.raises(InvalidInputError, match="tides"):
        engine.add([Document("tides", "again")])
    assert len(SearchEngine.open(engine.path, FakeEncoder())) == 4
    assert not engine.path.with_name("ix.encoding").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_encoding(engine, monkeypatch):
    monkeypatch.setattr("splade_engine.index.disk.publish.os.access", lambda *_: False)
    monkeypatch.setattr(FakeEncoder, "encode_documents", lambda *_, **__: pytest.fail("encoded for nothing"))
    for change in (engine.add, engine.update):
        with pytest.raises(StorageError, match="may not write into the folder"):
            change([{"id": "new", "text": "moon"}])
