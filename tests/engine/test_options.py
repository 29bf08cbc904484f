"""Every option of a search against brute force over all documents."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from splade_engine import SearchEngine
from splade_engine.engine import Hits, SearchOptions
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.index import Budget, Exact
from tests.fake_encoder import WORDS, FakeEncoder

N = 240
QUERIES = ["moon sea", "bread yeast salt", "wind", "night sky star ship", "xyzzy", ""]


def made_records():
    draw = random.Random(7)
    records = []
    for i in range(N):
        words = draw.choices([*WORDS[1:], "atlas", "refund", "Refunds", "ERR_ARG"], k=draw.randint(1, 9))
        record = {"id": f"d{i:03}", "text": " ".join(words).capitalize() + "."}
        record["title"] = draw.choice(["", "Atlas of the sea", "Money back"])
        record |= {"year": 1990 + draw.randint(0, 12)} if draw.random() < 0.8 else {}
        record |= {"tags": draw.sample(["a", "b", "c"], 2)} if draw.random() < 0.5 else {}
        # the passages of a document are added together
        batch = "a" if i < 200 else "b" if i < 230 else "c"
        record |= {"parent": f"{batch}{draw.randint(0, 30)}"} if draw.random() < 0.9 and i != 230 else {}
        record |= {"by": {"name": draw.choice(["Ada", "Bob"])}} if draw.random() < 0.5 else {}
        records.append(record)
    return records


RECORDS = {record["id"]: record for record in made_records()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """In three segments, with deleted documents."""
    records = list(RECORDS.values())
    engine = SearchEngine.build(tmp_path_factory.mktemp("options") / "ix", records[:200], FakeEncoder())
    engine.add([*records[200:230], {"id": "gone", "text": "moon sea bread wind night"}])
    engine.add(records[230:])
    engine.delete(["gone"])
    info = engine.index.info()
    assert (info.n_segments, info.n_docs, info.n_deleted) == (3, N, 1)
    return engine


def brute(engine, query, *, keep=lambda record: True, min_score=None):
    """(id, score) of all matches: the dot product with every document, ties in the order of the index."""
    vector = engine.encode_queries([query]).to_dicts()[0]
    ids = engine.index.ids()
    found = []
    for id, row in zip(ids, engine.index.vectors().to_dicts(), strict=True):
        score = float(np.float32(sum(np.float32(vector[t]) * np.float32(row[t]) for t in vector if t in row)))
        if score > 0 and keep(RECORDS[id]) and (min_score is None or score >= min_score):
            found.append((id, score))
    return sorted(found, key=lambda pair: -round(pair[1], 4))


def ids(hits):
    return [hit.id for hit in hits]


@pytest.mark.parametrize("query", QUERIES)
def test_pages_fit_together(engine, query):
    expected = [id for id, _ in brute(engine, query)]
    pages = [engine.search(query, 10, offset=first) for first in range(0, 50, 10)]
    together = [hit for page in pages for hit in page]
    assert ids(together) == expected[:50] == ids(engine.search(query, 50, exact=True))
    assert [hit.rank for hit in together] == list(range(1, len(together) + 1))
    assert all(hit.text == RECORDS[hit.id]["text"] for hit in together)
    assert engine.search(query, 10, offset=10_000) == []
    assert ids(engine.search(query, 10_000, offset=3)) == expected[3:]


@pytest.mark.parametrize("min_score", [0, 0.3, 0.7, 1.0986123, 50, -3])
def test_min_score(engine, min_score):
    expected = [id for id, _ in brute(engine, "moon sea", min_score=min_score - 1e-6)]
    hits = engine.search("moon sea", N, min_score=min_score)
    assert ids(hits) == expected
    assert engine.search("moon sea", N, min_score=min_score, total=True).total == len(expected)


@pytest.mark.parametrize("field", ["parent", "year", "by.name", "title"])
@pytest.mark.parametrize("k", [1, 5, 500])
@pytest.mark.parametrize("offset", [None, 0, 4])
def test_groups(engine, field, k, offset):
    def value(record):
        for step in field.split("."):
            record = (record or {}).get(step)
        return None if record in ("", []) else record

    best, seen = [], set()
    for id, _ in brute(engine, "night sky star ship wind"):
        group = value(RECORDS[id])
        if group is None or group not in seen:
            best.append(id)
            seen.add(group)
    first = offset or 0
    hits = engine.search("night sky star ship wind", k, group_by=field, offset=offset)
    assert ids(hits) == best[first : first + k]
    counted = engine.search("night sky star ship wind", k, group_by=field, offset=offset, total=True)
    assert (ids(counted), counted.total) == (ids(hits), len(best))


@pytest.fixture
def untitled(tmp_path):
    """Two documents with a title, two without one, and two each of other fields that hold nothing."""
    records = [
        {"id": "a", "title": "Moon", "text": "moon", "tags": []},
        {"id": "b", "title": "", "text": "moon", "tags": ["x"], "lang": ""},
        {"id": "c", "text": "moon", "tags": ["x"], "lang": ""},
        {"id": "d", "title": "Moon", "text": "moon", "tags": [], "lang": "en"},
    ]
    return SearchEngine.build(tmp_path / "ix", records, FakeEncoder())


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("title is null", ["b", "c"]),
        ("title is not null", ["a", "d"]),
        ({"title": None}, ["b", "c"]),
        ("title = ''", ["b", "c"]),
        ("title != 'Moon'", ["b", "c"]),
        ("text is null", []),
        ("lang is null", ["a"]),
    ],
)
def test_a_title_that_is_not_there_is_missing_in_filters(untitled, where, found):
    assert sorted(ids(untitled.search("moon", where=where))) == found


def test_what_is_missing_is_no_value_that_documents_share(untitled):
    def groups(field):
        hits = untitled.search("moon", group_by=field, total=True)
        assert hits.total == len(hits)
        return sorted(ids(hits))

    assert groups("title") == ["a", "b", "c"]
    assert groups("lang") == ["a", "b", "c", "d"]
    assert groups("tags") == ["a", "b", "d"]
    assert untitled.search("moon", facets=["title"]).facets == {"title": [("Moon", 2)]}
    for sort in ("title", "-title"):  # those without one last, as of every field
        assert ids(untitled.search("moon", sort=sort)) == ["a", "d", "b", "c"]


def holds(*words):
    pattern = re.compile(r"\W+".join(rf"(?<!\w){w}(?!\w)" for w in words))
    return lambda record: any(pattern.search(record.get(c, "").lower()) for c in ("title", "text"))


@pytest.mark.parametrize(
    ("options", "keep"),
    [
        ({"must": ["refund"]}, holds("refund")),
        ({"must": ["REFUND"]}, holds("refund")),
        ({"must": ["refund*"]}, holds("refunds?")),
        ({"must": ["err_arg"]}, holds("err_arg")),
        ({"must": ["err"]}, lambda record: False),
        ({"must": ["money back"]}, holds("money", "back")),
        ({"must": ["back money"]}, lambda record: False),
        ({"must": ["atlas", "sea"]}, lambda r: holds("atlas")(r) and holds("sea")(r)),
        ({"must_not": ["atlas"]}, lambda r: not holds("atlas")(r)),
        ({"must_not": ["atlas of the sea", "wind"]},
         lambda r: not holds("atlas", "of")(r) and not holds("wind")(r)),
        ({"must": ["sea"], "must_not": ["atlas"], "where": "year >= 1995"},
         lambda r: holds("sea")(r) and not holds("atlas")(r) and r.get("year", 0) >= 1995),
    ],
)  # fmt: skip
def test_must_and_must_not(engine, options, keep):
    expected = [id for id, _ in brute(engine, "moon sea", keep=keep)]
    assert ids(engine.search("moon sea", N, **options)) == expected
    assert ids(engine.search("moon sea", 7, offset=2, **options)) == expected[2:9]


@pytest.mark.parametrize(
    ("written", "plain", "keep"),
    [
        ("moon sea -atlas", "moon sea", lambda r: not holds("atlas")(r)),
        ("moon +refund", "moon refund", holds("refund")),
        ('moon "money back"', "moon money back", holds("money", "back")),
        ('moon -"money back"', "moon", lambda r: not holds("money", "back")(r)),
        ("moon “money back”", "moon money back", holds("money", "back")),
        ("moon +refund* -wind", "moon refund", lambda r: holds("refunds?")(r) and not holds("wind")(r)),
    ],
)
def test_what_a_query_says(engine, written, plain, keep):
    expected = [id for id, _ in brute(engine, plain, keep=keep)]
    assert ids(engine.search(written, N)) == expected != []
    same = ids(engine.search(written, N, operators=False))
    assert same == [id for id, _ in brute(engine, written.replace("-atlas", "atlas"))]


def test_a_demand_that_no_document_meets_is_told_and_let_go(engine):
    hits = engine.search('moon "sea of green cheese"', 5)
    assert ids(hits) == [id for id, _ in brute(engine, "moon sea of green cheese")][:5]
    assert hits.notes == ('no document holds "sea of green cheese": searched without that',)
    later = engine.search('moon "sea of green cheese"', 5, offset=5)
    assert ids(later) == [id for id, _ in brute(engine, "moon sea of green cheese")][5:10]
    assert later.notes == hits.notes
    assert engine.search("moon +refund", min_score=1e6).notes == (), (
        "a document holds it, if with a low score"
    )
    assert engine.search("moon", must=["sea of green cheese"]) == [], "an option is meant"
    left_out = engine.search("moon -moon", 5, related=False)
    assert left_out == []
    assert left_out.notes == ("without moon",)
    assert engine.search("-moon") == []


@pytest.mark.parametrize("sort", ["year", "-year", "title", "by.name"])
def test_sort(engine, sort):
    field = sort.removeprefix("-")

    def value(id):
        record = RECORDS[id]
        if field == "by.name":
            return record.get("by", {}).get("name")
        return None if field == "title" and record["title"] == "" else record.get(field)

    found = [id for id, _ in brute(engine, "moon sea")]
    there = [id for id in found if value(id) is not None]
    expected = sorted(there, key=value, reverse=sort.startswith("-")) + [
        id for id in found if value(id) is None
    ]
    assert ids(engine.search("moon sea", N, sort=sort)) == expected
    pages = [ids(engine.search("moon sea", 9, sort=sort, offset=first)) for first in range(0, N, 9)]
    assert [id for page in pages for id in page] == expected


def test_facets(engine):
    def counted(found, field):
        counts = {}
        for id in found:
            value = RECORDS[id].get(field)
            for item in value if isinstance(value, list) else () if value is None else (value,):
                counts[item] = counts.get(item, 0) + 1
        return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))

    found = [id for id, _ in brute(engine, "moon sea")]
    hits = engine.search("moon sea", 10, facets=["tags", "year"])
    assert hits.facets == {field: counted(found[:10], field) for field in ("tags", "year")}
    every = engine.search("moon sea", 10, facets=["tags", "year"], facets_over="matches", total=True)
    assert every.facets == {field: counted(found, field) for field in ("tags", "year")}
    assert every.total == len(found)
    assert engine.search("moon sea", 10).total is None
    assert dict(engine.search("moon sea", N, facets=["by.name"]).facets["by.name"]).keys() == {"Ada", "Bob"}


def test_vectors_take_the_same_options(engine):
    vectors = engine.encode_queries(["moon sea", "wind"])
    found = engine.search_vectors(vectors, 5, offset=5, must_not=["atlas"])
    texts = engine.search_many(["moon sea", "wind"], 5, offset=5, must_not=["atlas"])
    assert [ids(hits) for hits in found] == [ids(hits) for hits in texts]


def test_get(engine):
    documents = engine.get(["d003", "d200", "d003"])
    assert [document.id for document in documents] == ["d003", "d200", "d003"]
    for document in documents:
        record = RECORDS[document.id]
        assert (document.text, document.title) == (record["text"], record["title"])
        assert document.metadata == {k: v for k, v in record.items() if k not in ("id", "text", "title")}
    assert engine.get([]) == []
    with pytest.raises(InvalidInputError, match="no document with id 'nobody'"):
        engine.get(["d001", "nobody"])
    with pytest.raises(InvalidInputError, match="ids: a list"):
        engine.get("d001")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offset": -1}, "offset must be an integer of at least 0, got -1"),
        ({"offset": True}, "offset must be an integer of at least 0, got True"),
        ({"offset": 1.5}, "offset must be an integer of at least 0, got 1.5"),
        ({"offset": 2**40}, "offset must be"),
        ({"min_score": "high"}, "min_score must be a finite number, got 'high'"),
        ({"min_score": 10**400}, "min_score must be a finite number"),
        ({"min_score": float("nan")}, "min_score must be a finite number, got nan"),
        ({"group_by": ""}, "group_by must be the name of a metadata field, got ''"),
        ({"group_by": "yeer"}, "group_by: no column 'yeer'; the index has: "),
        ({"sort": "-"}, "sort must be the name of a metadata field, got '-'"),
        ({"sort": "by.nobody"}, "sort: no column 'by.nobody'; the index has: "),
        ({"sort": "Year"}, r"sort: no column 'Year'; the index has: .*; did you mean 'year'\?"),
        ({"sort": "tags"}, "sort: 'tags' holds lists, which have no order"),
        ({"facets": ["yeer"]}, "facets: no column 'yeer'"),
        ({"facets": "year"}, "facets: a list of strings is expected, got one string"),
        ({"facets": [3]}, "facets: the name of a metadata field is expected, got 3"),
        ({"facets_over": "all"}, "facets_over must be hits or matches, got 'all'"),
        ({"must": "moon"}, "must: a list of strings is expected, got one string"),
        ({"must": ["..."]}, r"must: '\.\.\.' holds no word"),
        ({"must_not": [3]}, "must_not: 3 holds no word"),
        ({"total": 1}, "total must be True or False, got 1"),
        ({"operators": None}, "operators must be True or False, got None"),
        ({"offset": 0, "accuracy": 0.9}, "need an exact search; leave accuracy"),
        ({"total": True, "effort": Budget(100, 10)}, "need an exact search; leave accuracy"),
    ],
)
def test_bad_options_are_named(engine, options, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        engine.search("moon", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_is_checked_with_options_too(engine, k):
    with pytest.raises(InvalidInputError, match="k must be"):
        engine.search("moon", k, offset=0)


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("offset", np.int64(2), 2),
        ("min_score", np.float32(0.5), 0.5),
        ("feedback", np.int32(3), 3),
        ("accuracy", np.float32(0.75), 0.75),
    ],
)
def test_numbers_of_numpy_are_numbers(engine, name, value, plain):
    assert ids(engine.search("moon sea", 5, **{name: value})) == ids(
        engine.search("moon sea", 5, **{name: plain})
    )


def test_an_unknown_option_is_refused(engine):
    with pytest.raises(TypeError, match="ofset"):
        engine.search("moon", ofset=3)


def test_exact_may_be_asked_for_as_well(engine):
    assert ids(engine.search("moon", 5, offset=0, exact=True)) == ids(engine.search("moon", 5, offset=0))
    assert ids(engine.search("moon", 5, offset=0, effort=Exact())) == ids(engine.search("moon", 5))


def test_a_plain_search_is_the_plain_search(engine, monkeypatch):
    monkeypatch.setattr("splade_engine.engine.searching.page_of", None)
    hits = engine.search("moon sea")
    assert isinstance(hits, Hits)
    assert engine.search('C++ and 1 + 1, -5, tar -x, ls -la --verbose, well-known, a 3" disk +49') is not None
    assert (hits.total, hits.facets, hits.notes) == (None, {}, ())
    assert SearchOptions().is_plain
    assert not SearchOptions(offset=0).is_plain


def test_a_lowest_score_beyond_float32_is_above_all(engine):
    assert engine.search("moon sea", 3, min_score=1e300) == []


@pytest.mark.parametrize("query", ["-atlas", '-"money back"', "-atlas -refund"])
def test_a_query_that_only_leaves_out_says_so(engine, query):
    hits = engine.search(query, 3)
    assert hits == []
    assert hits.notes[-1] == "nothing to look for: the query only says what must not be there; add a word"
    assert not any("nothing to look for" in note for note in engine.search(f"{query} moon", 3).notes)


def test_a_cross_encoder_that_is_not_there_is_told_at_once(engine, tmp_path):
    with pytest.raises(CheckpointError, match="no such folder, and not a hub id"):
        engine.search("moon", 3, rerank=str(tmp_path / "nothing"))


def test_an_option_that_there_is_not_is_named(engine):
    with pytest.raises(TypeError, match=r"a search has no option 'rows'; there are accuracy, config, "):
        engine.search("moon", 3, rows=5)


@pytest.mark.parametrize("queries", [["moon", None], ["moon", 5], ["moon", b"sea"], ["moon", ["sea"]]])
def test_one_query_that_is_no_text_is_named(engine, queries):
    with pytest.raises(InvalidInputError, match=r"queries: number 1 is .*, a string is expected"):
        engine.search_many(queries, 3)
