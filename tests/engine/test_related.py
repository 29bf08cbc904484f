"""Queries that share no term with any document: the best there is, and that it is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine import SearchEngine
from splade_engine.engine.certainty import weak_below
from splade_engine.engine.related import NO_WORD, NOTHING
from splade_engine.errors import InvalidInputError, MissingExtraError
from splade_engine.index.words.rank import _is_slip
from tests.fake_encoder import FakeEncoder

RECORDS = [
    {"id": "sleep", "text": "The night is cold.", "year": 1999},
    {"id": "oven", "text": "To bake needs salt.", "year": 2005},
    {"id": "harbour", "text": "Harbour and harbours, harbour.", "year": 2005},
]


@pytest.fixture
def engine(tmp_path):
    return SearchEngine.build(tmp_path / "ix", RECORDS, FakeEncoder())


def ids(hits):
    return [hit.id for hit in hits]


def test_what_a_query_means_is_searched_where_its_words_find_nothing(engine):
    hits = engine.search("moon")  # a document about the moon gets the term night
    assert ids(hits) == ["sleep"]
    assert hits.notes == ("no document shares a term with the query: these are by related terms",)
    assert hits[0].explain().matches[0].term == "night"
    assert hits[0].text == "The night is cold."
    assert ids(engine.search("bread", k=1)) == ["oven"]
    assert [ids(found) for found in engine.search_many(["moon", "cold", "xyzzy"])] == [
        ["sleep"],
        ["sleep"],
        [],
    ]
    assert engine.search("cold").notes == ()


def test_options_hold_there_too(engine):
    assert engine.search("moon", where="year > 2000") == []
    assert ids(engine.search("bread", where="year > 2000", offset=0, total=True)) == ["oven"]
    assert engine.search("bread", offset=1) == []
    assert engine.search("moon", min_score=0.1) == [], "who names a score does not want the best there is"
    assert engine.search("moon", must=["harbour"]) == []
    assert engine.search("moon", related=False) == []
    assert engine.search("") == []
    assert engine.search("-moon") == []
    with pytest.raises(InvalidInputError, match='related must be True, False or "weak", got 1'):
        engine.search("moon", related=1)


def test_a_slip_of_the_pen(engine):
    hits = engine.search("harbuor", hybrid=True)
    assert ids(hits) == ["harbour"]
    assert hits.notes == ("nothing found: searched for harbour",)
    assert sorted(ids(engine.search("salty harbuor", hybrid=True))) == ["harbour", "oven"]
    assert engine.search("tharbour", hybrid=True) == [], "the first letter is taken to be right"


def test_without_the_model_nothing_is_found(engine, monkeypatch):
    def missing(self, texts, **options):
        raise MissingExtraError("torch is not installed")

    monkeypatch.setattr(FakeEncoder, "encode_documents", missing)
    assert engine.search("moon") == []
    assert ids(engine.search("harbuor", hybrid=True)) == ["harbour"]
    assert ids(engine.search(WEAK_QUERY, related="weak")) == ["sleep"]


def test_the_model_is_not_asked_while_there_are_hits(engine, monkeypatch):
    monkeypatch.setattr(FakeEncoder, "encode_documents", None)
    assert ids(engine.search("cold")) == ["sleep"]
    assert ids(engine.search("salt night", hybrid=True)) == ["sleep", "oven"]


LETTERS = st.text("abc", min_size=1, max_size=5)


@settings(max_examples=500, deadline=None)
@given(LETTERS, LETTERS)
def test_slips(a, b):
    one = {a[:i] + a[i + 1 :] for i in range(len(a))}
    one |= {a[:i] + c + a[i:] for i in range(len(a) + 1) for c in "abc"}
    one |= {a[:i] + c + a[i + 1 :] for i in range(len(a)) for c in "abc"}
    one |= {a[:i] + a[i + 1] + a[i] + a[i + 2 :] for i in range(len(a) - 1)}
    assert _is_slip(a, b) == (b in one - {a})


def test_how_sure_an_answer_is(engine):
    sure = engine.search("night cold")
    assert (sure.covered, sure.weak) == (1.0, False)
    half = engine.search("night bread star wind")  # one of four terms is in the best document
    assert half.covered == pytest.approx(0.25)
    assert not half.weak, "among three documents a stray match would hold less"
    stray = engine.search("night bread star wind moon tide sea")
    assert stray.covered == pytest.approx(1 / 7)
    assert stray.weak
    by_date = engine.search("needs salt", sort="year")  # the best hit is not the first
    assert by_date.covered == 1.0
    # what was found by other terms than the query's own, or not at all, is never sure
    assert engine.search("moon").weak and engine.search("moon").covered == 0.0
    assert engine.search("xyzzy").weak


def test_what_may_have_been_meant(engine):
    assert engine.search("cold harbuor").did_you_mean == "cold harbour"
    assert engine.search('+needs "harbuor" -nigth').did_you_mean == '+needs "harbour" -night'
    assert engine.search("harbour cold").did_you_mean is None
    assert engine.search("moon").did_you_mean is None, (
        "the encoder knows the word, though no document holds it"
    )
    assert [hits.did_you_mean for hits in engine.search_many(["harbuor", "night"])] == ["harbour", None]
    without = SearchEngine.build(engine.path.with_name("plain"), RECORDS, FakeEncoder(), words=False)
    assert without.search("harbuor").did_you_mean is None
    assert engine.search_vectors(engine.encode_queries(["night"]))[0].did_you_mean is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("neccesary", "necessary"),  # two slips
        ("acomodation", "accommodation"),
        ("necessary", None),
        ("quintessence", None),
        ("nurse", None),
        ("", None),
    ],
)
def test_words_that_share_most_pairs_of_letters(tmp_path, written, meant):
    records = [{"id": "a", "text": "Necessary accommodation, necessity, monday."}]
    engine = SearchEngine.build(tmp_path / "ix", records, FakeEncoder())
    assert engine.index.reader.near_word(written) == meant


def test_words_that_nobody_knows_are_answered_by_those_spelt_most_like_them(engine):
    hits = engine.search("harbs", hybrid=True)  # shares 8 of the 14 pairs of letters
    assert ids(hits) == ["harbour"]
    assert engine.search("hart", hybrid=True) == []  # 6 of 13
    hits = engine.search("Hafenharb harbora", hybrid=True)
    assert ids(hits) == ["harbour"] and hits.weak
    assert hits.notes == (
        "nothing found: searched for words with most of the same letters, Hafenharb harbour",
    )
    assert hits.did_you_mean is None


@pytest.mark.parametrize("query", ["Hafen", "xyzzy", "гавань", "港"])
def test_a_query_of_unknown_words_is_called_that(engine, query):
    hits = engine.search(query)
    assert hits == [] and hits.weak
    assert hits.notes == (f"{NOTHING}; the encoder may not know its words, or its language",)
    assert engine.search("star").notes == (NOTHING,)  # a word that the encoder knows, and no document is like


@pytest.mark.parametrize("query", ["???", "\U0001f600", "-- +"])
def test_a_query_without_a_word_is_called_that(engine, query):
    hits = engine.search(query)
    assert hits == [] and hits.notes == (NO_WORD,)


def test_a_query_that_a_filter_keeps_from_its_answer_is_not_called_unknown(engine):
    assert engine.search("moon", where="year > 2000").notes == ()
    assert engine.search("harbour", where="year == 1999").notes == ()


class InPieces(FakeEncoder):
    """Reads `moonish` as the piece `moon` and no word, as `reimbursement` is read as pieces."""

    def word_spans(self, text):
        return super().word_spans(text.replace("ish", ""))


def test_a_word_in_pieces_is_answered_by_its_meaning_where_a_document_holds_enough_of_it(tmp_path):
    engine = SearchEngine.build(tmp_path / "ix", RECORDS, InPieces())
    hits = engine.search("moonish")  # night is .5 of 1.19
    assert ids(hits) == ["sleep"] and hits.weak
    assert hits.notes == ("no document shares a term with the query: these are by related terms",)
    hits = engine.search("moonish seaish tideish pullish yeastish flourish")  # .5 of 4.66
    assert hits == [] and hits.notes == (f"{NOTHING}; the encoder may not know its words, or its language",)


def test_among_more_documents_a_match_must_hold_more():
    limits = [weak_below(n) for n in (0, 1, 3, 10, 100, 400, 10**8)]
    assert limits == sorted(limits)
    assert limits[2:] == pytest.approx([0.154, 0.202, 0.294, 0.35, 0.35], abs=1e-3)


WEAK_QUERY = "moon night bread star wind tide sea"  # `sleep` holds one of its seven words


def test_what_a_query_means_counts_beside_its_words_where_the_best_hit_is_weak(tmp_path, engine):
    plain = engine.search(WEAK_QUERY)
    assert plain.weak and plain.notes == () and ids(plain) == ["sleep"]
    hits = engine.search(WEAK_QUERY, related="weak")
    assert ids(hits) == ["sleep", "oven"], "bread means bake"
    assert hits.notes == ("documents hold little of what the query says: related terms count besides",)
    assert hits.weak and hits.covered == 0.0
    assert {m.term for m in hits[1].explain().matches} == {"bake"}
    assert [ids(found) for found in engine.search_many([WEAK_QUERY, "cold", "moon"], related="weak")] == [
        ["sleep", "oven"],
        ["sleep"],
        ["sleep"],
    ]
    pages = [engine.search(WEAK_QUERY, 1, offset=n, related="weak") for n in range(3)]
    assert [ids(page) for page in pages] == [["sleep"], ["oven"], []]
    assert ids(engine.search(WEAK_QUERY, related="weak", where="year > 2000", total=True)) == ["oven"]
    assert engine.search(WEAK_QUERY, related="weak", min_score=0.01).notes == ()


def test_a_demand_that_was_let_go_does_not_empty_a_weak_answer(engine):
    let_go = "no document holds xyzzy: searched without that"
    hits = engine.search(f"{WEAK_QUERY} +xyzzy", related="weak")
    assert ids(hits) == ["sleep", "oven"]
    assert hits.notes[0] == let_go and len(hits.notes) == 2
    assert ids(engine.search(f"{WEAK_QUERY} +xyzzy -salt", related="weak")) == ["sleep"], "what is left stays"
    assert ids(engine.search(f"{WEAK_QUERY} +salt", related="weak")) == ["oven"], "a demand that is met stays"


def test_the_model_is_not_asked_while_hits_are_not_weak(engine, monkeypatch):
    monkeypatch.setattr(FakeEncoder, "encode_documents", None)
    assert ids(engine.search("cold", related="weak")) == ["sleep"]
    assert ids(engine.search("salt night", hybrid=True, related="weak")) == ["sleep", "oven"]
