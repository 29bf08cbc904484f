"""Hybrid search and reranking against the formulas, computed from both rankings by brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splade_engine import SearchEngine
from splade_engine.engine import SearchOptions
from splade_engine.engine.fusion import Hybrid, as_written
from splade_engine.engine.rerank import Rerank
from splade_engine.engine.searching import WRITTEN
from splade_engine.errors import InvalidInputError
from splade_engine.index import BuildConfig, SparseIndex
from splade_engine.index.words.text import words_of
from tests.engine.test_options import RECORDS
from tests.fake_encoder import FakeEncoder

N = len(RECORDS)
QUERIES = ["moon sea atlas", "refund wind", "ERR_ARG moon", "atlas refund", "xyzzy", "sky", ""]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """In three segments, with deleted and replaced documents."""
    records = list(RECORDS.values())
    engine = SearchEngine.build(tmp_path_factory.mktemp("hybrid") / "ix", records[:200], FakeEncoder())
    engine.add([*records[200:230], {"id": "gone", "text": "moon sea atlas refund"}])
    engine.add([*records[231:], {"id": records[230]["id"], "text": "an old text of sea"}])
    engine.update([records[230]])
    engine.delete(["gone"])
    return engine


def lists(engine, query, keep=lambda record: True):
    """By id (rank, score) by terms and by words, over all documents."""
    reader = engine.index.reader
    found = [hit for hit in engine.search(query, N, hybrid=False, exact=True) if keep(RECORDS[hit.id])]
    terms = {hit.id: (rank, hit.score) for rank, hit in enumerate(found, 1)}
    ordinals, scores = reader.search_words(words_of(query), N)
    pairs = [(i, s) for i, s in zip(reader.ids(ordinals), scores.tolist(), strict=True) if keep(RECORDS[i])]
    return terms, {id: (rank, score) for rank, (id, score) in enumerate(pairs, 1)}


def fused(engine, query, hybrid, keep=lambda record: True):
    terms, words = lists(engine, query, keep)
    scores = {}
    depth = hybrid.depth
    near = [{id for id, (rank, _) in side.items() if rank <= depth} for side in (terms, words)]
    for id in near[0] | near[1]:
        if hybrid.method == "sum":
            score = terms.get(id, (0, 0.0))[1] + hybrid.weight * words.get(id, (0, 0.0))[1]
        else:
            score = 1 / (hybrid.constant + terms[id][0]) if id in near[0] else 0.0
            score += hybrid.weight / (hybrid.constant + words[id][0]) if id in near[1] else 0.0
        scores[id] = score
    order = {id: place for place, id in enumerate(engine.index.ids())}
    return sorted(
        ((id, s) for id, s in scores.items() if s > 0), key=lambda p: (-round(p[1], 6), order[p[0]])
    )


HYBRIDS = [
    Hybrid(),
    Hybrid("sum", 0.3),
    Hybrid("sum", 0.0),
    Hybrid("sum", 5.0, depth=7),
    Hybrid("rrf", 0.25),
    Hybrid("rrf", 1.0, constant=0.0),
    Hybrid("rrf", 1.0, depth=3),
]


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
@pytest.mark.parametrize("query", QUERIES)
def test_fusions_are_the_formulas(engine, query, hybrid):
    expected = fused(engine, query, hybrid)
    hits = engine.search(query, N, hybrid=hybrid, exact=True)
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], rel=1e-4)
    assert {hit.id for hit in hits} == {id for id, _ in expected}
    near = {round(score, 5) for _, score in expected}
    if len(near) == len(expected):
        assert [hit.id for hit in hits] == [id for id, _ in expected]
    terms, words = lists(engine, query)
    for hit in hits[:20]:
        by_terms, by_words = hit.sides
        assert (by_terms.name, by_words.name) == ("terms", "words")
        assert sum(side.contribution for side in hit.sides) == pytest.approx(hit.score, rel=1e-5)
        for side, ranks in ((by_terms, terms), (by_words, words)):
            rank, score = ranks.get(hit.id, (0, 0.0))
            assert side.rank == (rank if rank <= hybrid.depth else 0)
            if side.rank or hybrid.method == "sum":
                assert side.score == pytest.approx(score, rel=1e-5)


def test_names_of_fusions(engine):
    def same(value, hybrid):
        a = [(h.id, h.score) for h in engine.search("moon sea atlas", 50, hybrid=value)]
        return a == [(h.id, h.score) for h in engine.search("moon sea atlas", 50, hybrid=hybrid)]

    assert same(True, Hybrid("sum", 1.0))
    assert same("sum", Hybrid("sum", 1.0))
    assert same("rrf", Hybrid("rrf", 0.25))
    assert same(None, False)


def test_options_apply_to_what_was_fused(engine):
    hybrid = Hybrid()
    whole = [id for id, _ in fused(engine, "moon sea atlas", hybrid)]
    pages = [engine.search("moon sea atlas", 10, offset=i, hybrid=hybrid) for i in range(0, 50, 10)]
    assert [hit.id for page in pages for hit in page] == [
        hit.id for hit in engine.search("moon sea atlas", 50, hybrid=hybrid, exact=True)
    ]
    assert [hit.rank for page in pages for hit in page] == list(range(1, 51))
    counted = engine.search("moon sea atlas", 5, hybrid=Hybrid(depth=2), total=True)
    assert counted.total == len(whole)
    least = engine.search("moon sea atlas", 50, hybrid=hybrid)[20].score
    assert all(
        hit.score >= least for hit in engine.search("moon sea atlas", N, hybrid=hybrid, min_score=least)
    )
    kept = fused(engine, "moon sea atlas", hybrid, lambda record: record.get("year", 0) >= 1995)
    found = engine.search("moon sea atlas", N, hybrid=hybrid, where="year >= 1995")
    assert {hit.id for hit in found} == {id for id, _ in kept}
    groups = engine.search("moon sea atlas", N, hybrid=hybrid, group_by="parent")
    parents = [RECORDS[hit.id].get("parent") for hit in groups]
    assert len([p for p in parents if p]) == len({p for p in parents if p})


def test_a_document_that_only_words_find(engine):
    found = engine.search("refunds", 5, hybrid=True)
    assert found
    assert all("refunds" in words_of(hit.text) for hit in found)
    why = found[0].explain()
    assert [word.word for word in why.words] == ["refunds"]
    assert [found[0].text[a:b].lower() for a, b in why.text_spans] == ["refunds"] * len(why.text_spans) != []
    assert "words: rank 1" in str(why)
    assert f"the word refunds: {why.words[0].count} times" in str(why)
    assert why.to_dict()["sides"][1]["name"] == "words"
    both = engine.search("moon atlas", 50, hybrid=True)
    for hit in both:
        held = {word.word: word.count for word in hit.explain().words}
        there = words_of(f"{hit.title} {hit.text}")
        assert held == {word: there.count(word) for word in ("moon", "atlas") if word in there}
        assert sum(w.contribution for w in hit.explain().words) == pytest.approx(hit.sides[1].score, rel=1e-5)
    assert engine.search("refunds", 5) == []


# ---- words as they are written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ERR_INVALID_ARG_TYPE", ["err_invalid_arg_type"]),
        ("what does os.path_join do", ["path_join"]),
        ("error E1234 in utf8", ["e1234", "utf8"]),
        ("readFile and useState", ["readfile", "usestate"]),
        ("how do tides work", []),
        ("covid-19 in 2020", []),
        ("a_b", ["a_b"]),
        ("_ __ a_ _a", []),
        ("U.S. GDP IBM", []),
        ("", []),
    ],
)
def test_which_words_only_stand_as_they_are_written(text, expected):
    assert as_written(text) == expected


def test_a_name_in_a_query_counts_as_it_is_written(engine):
    terms, _ = lists(engine, "ERR_ARG moon")
    _, words = lists(engine, "ERR_ARG")
    hits = engine.search("ERR_ARG moon", N)
    assert words
    for hit in hits:
        expected = terms.get(hit.id, (0, 0.0))[1] + WRITTEN.weight * words.get(hit.id, (0, 0.0))[1]
        assert hit.score == pytest.approx(expected, rel=1e-4)
    assert {hit.id for hit in hits} == terms.keys() | words.keys()
    assert [hit.id for hit in engine.search("ERR_ARG moon", N, hybrid=False)] == list(terms)
    assert engine.search("err moon")[0].sides == ()


def test_without_word_lists(tmp_path):
    engine = SearchEngine.build(tmp_path / "ix", list(RECORDS.values())[:20], FakeEncoder(), words=False)
    assert engine.search("ERR_ARG moon") is not None
    with pytest.raises(InvalidInputError, match="has no word lists"):
        engine.search("moon", hybrid=True)
    joined = SparseIndex.merge(tmp_path / "new", [engine.path], config=BuildConfig(words=True))
    assert SearchEngine.open(joined.path, FakeEncoder()).search("atlas", hybrid=True)


# ---- reranking ------------------------------------------------------------------------------------------


def by_length(query, texts):
    return [float(len(text)) for text in texts]


@pytest.mark.parametrize("hybrid", [False, True])
def test_reranked_hits_are_in_the_order_of_the_scorer(engine, hybrid):
    first = engine.search("moon sea", 12, hybrid=hybrid)
    expected = sorted(first, key=lambda hit: -len(f"{hit.title} {hit.text}".strip()))
    hits = engine.search("moon sea", 50, hybrid=hybrid, rerank=Rerank(by_length, depth=12))
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert [hit.score for hit in hits] == [len(f"{hit.title} {hit.text}".strip()) for hit in hits]
    place = {hit.id: hit for hit in first}
    for rank, hit in enumerate(hits, 1):
        last = hit.sides[-1]
        assert (last.name, last.rank, last.score) == ("rerank", rank, hit.score)
        if hybrid:
            assert hit.sides[:-1] == place[hit.id].sides
        else:
            assert (hit.sides[0].name, hit.sides[0].rank) == ("terms", place[hit.id].rank)
            assert hit.sides[0].score == pytest.approx(place[hit.id].score)
    page = engine.search("moon sea", 5, offset=5, hybrid=hybrid, rerank=Rerank(by_length, depth=12))
    assert len(page) == 5
    assert [hit.rank for hit in page] == [6, 7, 8, 9, 10]


def test_a_scorer_is_asked_once_for_a_query(engine):
    asked = []

    def scorer(query, texts):
        asked.append((query, len(texts)))
        return np.arange(len(texts), dtype=float)

    hits = engine.search("moon +sea -atlas", 3, rerank=scorer)
    assert len(hits) == 3
    assert asked == [("moon sea", asked[0][1])]
    assert engine.search("xyzzy", rerank=scorer) == []
    assert hits[0].explain().sides[-1].name == "rerank"


@pytest.mark.parametrize(
    "form",
    [
        lambda scores: scores[:, None],  # of a model with one label
        lambda scores: scores.astype(np.float16),
        lambda scores: [np.float32(score) for score in scores],
        lambda scores: (int(score) for score in scores),
        lambda scores: tuple(scores.astype(int).tolist()),
    ],
)
def test_scores_in_any_form_are_the_same(engine, form):
    def scorer(query, texts):
        return np.array([len(text) for text in texts], dtype=float)

    expected = [(hit.id, hit.score) for hit in engine.search("moon sea", 9, rerank=scorer)]
    found = engine.search("moon sea", 9, rerank=lambda query, texts: form(scorer(query, texts)))
    assert [(hit.id, hit.score) for hit in found] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hybrid": "max"}, "hybrid must be True, False, 'sum', 'rrf' or a Hybrid, got 'max'"),
        ({"hybrid": 1}, "hybrid must be"),
        ({"rerank": 3}, "rerank takes a function or the name of a CrossEncoder, got 3"),
        ({"rerank": ""}, "rerank takes a function"),
        ({"rerank": lambda q, texts: [1.0]}, "rerank: 1 scores for 50 documents"),
        ({"rerank": lambda q, texts: [float("nan")] * len(texts)}, "rerank: a score is not finite"),
        ({"rerank": lambda q, texts: [1e300] * len(texts)}, "rerank: a score is not finite"),
        ({"rerank": lambda q, texts: [10**400] * len(texts)}, "a score is no number"),
        ({"rerank": lambda q, texts: [None] * len(texts)}, "a score is no number: None"),
        ({"rerank": lambda q, texts: [True] * len(texts)}, "a score is no number: True"),
        ({"rerank": lambda q, texts: [1j] * len(texts)}, "a score is no number"),
        ({"rerank": lambda q, texts: ["1"] * len(texts)}, "a score is no number: '1'"),
        ({"rerank": lambda q, texts: "1" * len(texts)}, "got one string"),
        ({"rerank": lambda q, texts: dict.fromkeys(range(len(texts)), 1.0)}, "got a mapping"),
        ({"rerank": lambda q, texts: set(range(len(texts)))}, "got a set"),
        ({"rerank": lambda q, texts: None}, "scores, one per document is expected, got NoneType"),
        ({"rerank": lambda q, texts: 1.0}, "scores, one per document is expected, got float"),
        ({"rerank": lambda q, texts: np.ones((len(texts), 2))}, r"one number per document.*\(50, 2\)"),
        ({"rerank": lambda q, texts: np.ones((len(texts), 1, 1))}, "one number per document"),
        ({"rerank": lambda q, texts: [[1.0]] + [[1.0, 2.0]] * (len(texts) - 1)}, "one number per document"),
    ],
)
def test_bad_options(engine, options, message):
    with pytest.raises(InvalidInputError, match=message):
        engine.search("moon sea", **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "max"}, "hybrid: method must be one of sum, rrf, got 'max'"),
        ({"weight": -1}, "hybrid: weight: a number from 0 to 1e"),
        ({"weight": float("nan")}, "hybrid: weight: a number"),
        ({"weight": True}, "hybrid: weight: a number"),
        ({"constant": "60"}, "hybrid: constant: a number"),
        ({"depth": 0}, "hybrid: depth: a whole number from 1 to 1000000 is expected, got 0"),
    ],
)
def test_bad_fusions(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Hybrid(**arguments)


def test_vectors_have_no_words(engine):
    vectors = engine.encode_queries(["moon"])
    for options in ({"hybrid": True}, {"rerank": by_length}):
        with pytest.raises(InvalidInputError, match="need the text of a query"):
            engine.search_vectors(vectors, **options)
    with pytest.raises(InvalidInputError, match="depth: a whole number"):
        SearchOptions(rerank=Rerank(by_length, depth=0))


@pytest.mark.parametrize("words", [True, False], ids=["listed", "read"])
def test_words_in_other_forms_are_found_and_marked(tmp_path: Path, words: bool) -> None:
    """A soft hyphen cut a word in two, and a ligature was another letter."""
    texts = [
        "the sea \ufb01le",
        "the sea fi\u00adle",
        "the sea \uff26ile",
        "the sea filet",
        "\ufb01\ufb01 sea",
    ]
    engine = SearchEngine.build(tmp_path / "ix", texts, FakeEncoder(), words=words)
    for query in ("sea +file", "sea +\ufb01le", "sea +FI\u200bLE", 'sea "sea \uff46ile"'):
        assert {hit.id for hit in engine.search(query)} == {"0", "1", "2"}
    assert {hit.id for hit in engine.search("sea +file*")} == {"0", "1", "2", "3"}
    if words:
        for hit in engine.search("sea file", 3, hybrid=True):
            assert hit.snippet(80).marked().endswith(f"**{texts[int(hit.id)][8:]}**")
