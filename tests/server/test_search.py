"""Searching and explaining over HTTP gives what the engine gives."""

from __future__ import annotations

import pytest

from splade_engine.collections import Document
from splade_engine.engine import SearchEngine
from splade_engine.engine.fusion import Hybrid
from splade_engine.index import IndexReader, Miss, Placement, SparseIndex
from splade_engine.server import ServedIndex
from tests.fake_encoder import FakeEncoder
from tests.server.conftest import ids, problem


def test_hits_are_those_of_the_engine(client, served):
    answer = client.post("/search", json={"query": "sea wind", "k": 3})
    expected = [hit.to_dict() for hit in served.current.search("sea wind", 3)]
    assert answer.json()["hits"] == expected
    assert answer.json()["index"] == "ix"
    assert answer.json()["generation"] == 1
    assert answer.json()["took_us"] >= 0


def test_several_queries_give_a_list_of_lists(client, served):
    queries = ["sea", "bread", "nothing known"]
    answer = client.post("/search", json={"query": queries, "k": 2}).json()
    assert answer["hits"] == [[h.to_dict() for h in served.current.search(q, 2)] for q in queries]
    assert answer["hits"][2] == []


@pytest.mark.parametrize("where", ["lang = 'en'", {"lang": "en"}, {"year": {">=": 1990}, "lang": ["en"]}])
def test_filters(client, served, where):
    found = ids(client.post("/search", json={"query": "sea wind", "where": where}))
    assert found == [hit.id for hit in served.current.search("sea wind", where=where)]
    assert found


def test_options_reach_the_engine(client, served, monkeypatch):
    seen = {}
    real = type(served.current).search_many

    def spy(self, queries, k=10, **options):
        seen.clear()
        seen.update(options, k=k)
        return real(self, queries, k, **options)

    monkeypatch.setattr(type(served.current), "search_many", spy)
    client.post("/search", json={"query": "sea", "k": 7, "accuracy": 0.9, "where": "lang = 'en'"})
    assert seen == {"k": 7, "accuracy": 0.9, "where": "lang = 'en'", "related": False}
    client.post("/search", json={"query": "sea", "exact": True})
    assert seen == {"k": 10, "exact": True, "related": False}
    given = {"must": ["sea"], "must_not": ["ship"], "offset": 1, "min_score": 0.5, "group_by": "lang"}
    given |= {
        "sort": "-year",
        "total": True,
        "facets": ["lang"],
        "facets_over": "matches",
        "operators": False,
    }
    client.post("/search", json={"query": "sea", **given})
    assert seen == {"k": 10, "related": False, **given}


def test_fields_choose_what_is_returned(client):
    hit = client.post("/search", json={"query": "tide", "fields": ["title", "year"]}).json()["hits"][0]
    assert set(hit) == {"rank", "id", "score", "title", "metadata"}
    assert hit["metadata"] == {"year": 1999}
    bare = client.post("/search", json={"query": "tide", "fields": []}).json()["hits"][0]
    assert set(bare) == {"rank", "id", "score"}


def test_a_field_that_no_document_has_is_refused(client):
    answer = client.post("/search", json={"query": "tide", "fields": ["titel"]})
    assert answer.status_code == 422
    assert answer.json()["error"] == "fields: no field 'titel'; there are lang, text, title, year"


def test_snippet_and_reasons(client):
    body = {"query": "sea tide", "snippet": 30, "explain": True, "k": 1}
    hit = client.post("/search", json=body).json()["hits"][0]
    assert "text" not in hit
    shown = hit["snippet"]
    assert all(shown["text"][a:b].lower() in ("sea", "tide") for a, b in shown["spans"])
    assert shown["spans"]
    assert {match["term"] for match in hit["explanation"]["matches"]} == {"sea", "tide"}


def test_explain_tells_where_a_document_was_missed(client, monkeypatch):
    """Small indexes are searched exactly, so what was missed is invented here."""
    miss = Miss("unread", 0.0, 0.75, (3,))
    placement = Placement("missed", 0, 1.0, 2, 0, 2.0, (), miss)
    for kind in (IndexReader, SparseIndex):
        monkeypatch.setattr(kind, "explain", lambda *_, **__: placement)
    told = client.post("/explain", json={"query": "sea tide", "id": "bread"}).json()
    assert told["reason"] == "missed"
    assert told["miss"] == {
        "step": "unread", "estimate": 0.0, "threshold": 0.75, "pruned": [3], "told": str(miss),
    }  # fmt: skip


def test_explain_any_document(client):
    hit = client.post("/explain", json={"query": "sea tide", "id": "tides"}).json()
    assert (hit["reason"], hit["rank"], hit["found_rank"]) == ("hit", 1, 1)
    assert "miss" not in hit
    assert hit["score"] == pytest.approx(sum(match["contribution"] for match in hit["matches"]))
    other = client.post("/explain", json={"query": "sea tide", "id": "bread"}).json()
    assert other["reason"] == "no shared term"
    filtered = client.post("/explain", json={"query": "sea", "id": "tides", "where": "lang = 'de'"}).json()
    assert filtered["reason"] == "filtered"
    assert "nobody" in problem(
        client.post("/explain", json={"query": "sea", "id": "nobody"}), 404, "NotFound"
    )


@pytest.mark.parametrize(
    ("query", "id", "reason", "notes"),
    [
        ("sea -cold", "a/b#1?x=1 ü", "filtered", ["without cold", "the document holds cold"]),
        ("sea +moon", "a/b#1?x=1 ü", "filtered", ["the document does not hold moon"]),
        ("sea -cold", "tides", "hit", ["without cold"]),
        ("sea +moon", "tides", "hit", None),
        ("sea +zebra", "tides", "hit", ["no document holds zebra: searched without that"]),
    ],
)
def test_explain_reads_a_query_as_the_search_does(client, query, id, reason, notes):
    told = client.post("/explain", json={"query": query, "id": id}).json()
    assert (told["reason"], told.get("notes")) == (reason, notes)
    hits = ids(client.post("/search", json={"query": query}))
    assert told["found_rank"] == (hits.index(id) + 1 if id in hits else 0)
    plain = client.post("/explain", json={"query": "sea -cold", "id": "a/b#1?x=1 ü", "operators": False})
    assert plain.json()["reason"] == "hit"


def test_fields_for_filters(client):
    answer = client.get("/fields").json()
    described = {field["name"]: field for field in answer["fields"]}
    assert described["lang"]["values"] == [["en", 2], ["de", 1]]
    assert (described["year"]["least"], described["year"]["most"]) == (1999, 2005)
    assert "title" not in described and "text" not in described
    assert (answer["sampled"], answer["documents"]) == (4, 4)


def test_fields_where_documents_without_any_were_added(serving, served):
    """Of the second segment nothing is left beside title and text."""
    served.write([Document("plain", "Salt and water.")])
    with serving() as client:
        answer = client.get("/fields").json()
    assert {field["name"]: field["least"] for field in answer["fields"] if field["type"] == "int"} == {
        "year": 1999
    }
    assert (answer["sampled"], answer["documents"]) == (5, 5)


def test_several_indexes_by_name(serving, served, tmp_path, encoder):
    from splade_engine.engine import SearchEngine
    from splade_engine.server import ServedIndex

    SearchEngine.build(tmp_path / "other", [{"_id": "o", "text": "the night sky"}], encoder)
    other = ServedIndex("other", SearchEngine.open(tmp_path / "other", encoder))
    with serving(indexes=[served, other]) as client:
        assert [i["name"] for i in client.get("/indexes").json()["indexes"]] == ["ix", "other"]
        assert ids(client.post("/search", json={"query": "sky"})) == []
        assert ids(client.post("/indexes/other/search", json={"query": "sky"})) == ["o"]
        assert client.get("/indexes/other/documents/o").json()["text"] == "the night sky"
        assert client.get("/indexes/other/info").json()["documents"] == 1
        message = problem(client.post("/indexes/no/search", json={"query": "sky"}), 404, "NotFound")
        assert message == "no index 'no'; there are ix, other"


def test_options_answer_as_the_engine_does(client, served):
    engine = served.current
    for options in (
        {"offset": 1, "k": 1},
        {"min_score": 1.2},
        {"group_by": "lang"},
        {"must": ["small wind"]},
        {"must_not": ["ship"]},
        {"sort": "-year"},
        {"where": "title is null"},
        {"where": {"field": "meta.lang", "operator": "==", "value": "en"}},
    ):
        expected = [hit.id for hit in engine.search("sea wind", **options)]
        assert ids(client.post("/search", json={"query": "sea wind", **options})) == expected != []


def test_groups_keep_the_best_hit_of_each(client):
    def found(**options):
        return client.post("/search", json={"query": "sea wind", **options})

    everything = found().json()["hits"]
    assert [hit["id"] for hit in everything] == ["a/b#1?x=1 ü", "tides", "ship"]
    assert [hit["metadata"].get("lang") for hit in everything] == [None, "en", "en"]
    grouped = found(group_by="lang", total=True)
    assert ids(grouped) == ["a/b#1?x=1 ü", "tides"]
    assert [hit["rank"] for hit in grouped.json()["hits"]] == [1, 2]
    assert [hit["score"] for hit in grouped.json()["hits"]] == [hit["score"] for hit in everything[:2]]
    assert ids(found(group_by="lang", k=1)) == ["a/b#1?x=1 ü"]
    assert ids(found(group_by="lang", k=1, offset=1)) == ["tides"]
    assert ids(found(group_by="lang", where="title is null")) == ["ship"]
    assert ids(found(group_by="parent")) == [hit["id"] for hit in everything]  # none was cut into passages
    several = client.post("/search", json={"query": ["sea wind", "bread"], "group_by": "lang"}).json()
    assert [[hit["id"] for hit in hits] for hits in several["hits"]] == [ids(grouped), ["bread"]]


def test_counts_stand_beside_the_hits(client):
    asked = {"query": "sea wind", "k": 1, "total": True, "facets": ["lang"], "facets_over": "matches"}
    answer = client.post("/search", json=asked).json()
    assert (answer["total"], answer["facets"]) == (3, {"lang": [["en", 2]]})
    several = client.post("/search", json={**asked, "query": ["sea", "xyzzy"]}).json()
    assert several["counts"] == [
        {"total": 2, "facets": {"lang": [["en", 1]]}},
        {"total": 0, "facets": {"lang": []}},
    ]
    assert "total" not in client.post("/search", json={"query": "sea"}).json()
    noted = client.post("/search", json={"query": "sea -moon"}).json()
    assert ([hit["id"] for hit in noted["hits"]], noted["notes"]) == (["a/b#1?x=1 ü"], ["without moon"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"offset": -1}, "offset: input should be greater than or equal to 0"),
        ({"min_score": "x"}, "min_score: input should be a valid number"),
        ({"group_by": "yeer"}, "group_by: no column 'yeer'"),
        ({"must": ["..."]}, "must: '...' holds no word"),
        ({"must": "moon"}, "must: input should be a valid list"),
        ({"related": "maybe"}, "related: input should be a valid boolean or input should be 'weak'"),
        ({"hybrid": 7}, "hybrid: input should be a valid boolean or input should be 'sum' or 'rrf'"),
        ({"hybrid": False, "hybrid_weight": 1}, "hybrid_weight: does not go with hybrid: false"),
        ({"facets_over": "all"}, "facets_over: input should be 'hits' or 'matches'"),
        ({"sort": "yeer"}, "sort: no column 'yeer'"),
        ({"offset": 0, "accuracy": 0.9}, "need an exact search"),
    ],
)
def test_bad_options(client, body, message):
    assert message in problem(client.post("/search", json={"query": "sea", **body}), 422)


def test_hybrid(client, served):
    engine = served.current
    for body, hybrid in (
        ({"hybrid": True}, True),
        ({"hybrid": "rrf"}, "rrf"),
        ({"hybrid": False}, False),
        ({"hybrid": "sum", "hybrid_weight": 3}, Hybrid(weight=3.0)),
        ({"hybrid_weight": 0.5}, Hybrid(weight=0.5)),
    ):
        hits = client.post("/search", json={"query": "small waves", **body}).json()["hits"]
        expected = engine.search("small waves", hybrid=hybrid)
        assert [(hit["id"], hit["score"]) for hit in hits] == [(hit.id, hit.score) for hit in expected]
    why = client.post("/search", json={"query": "wave", "hybrid": True, "explain": True, "k": 1}).json()
    assert [side["name"] for side in why["hits"][0]["explanation"]["sides"]] == ["terms", "words"]
    assert why["hits"][0]["explanation"]["words"][0]["word"] == "wave"
    assert "hybrid" in problem(client.post("/search", json={"query": "sea", "hybrid": "max"}), 422)


def test_a_reranker_of_the_server_scores_the_best_hits_anew(served):
    from starlette.testclient import TestClient

    from splade_engine.engine import Rerank
    from splade_engine.server import Settings, create_app
    from tests.server.conftest import BASE

    def shortest_first(query, texts):
        return [-float(len(text)) for text in texts]

    reranker = Rerank(shortest_first, depth=2)
    with TestClient(create_app([served], Settings(rerank=reranker)), base_url=BASE) as client:
        plain = client.post("/search", json={"query": "sea wind"}).json()["hits"]
        answer = client.post("/search", json={"query": "sea wind", "rerank": True, "explain": True}).json()[
            "hits"
        ]
        expected = served.current.search("sea wind", rerank=reranker)
        assert [(hit["id"], hit["score"]) for hit in answer] == [(hit.id, hit.score) for hit in expected]
        assert len(answer) == 2 < len(plain)
        assert answer[0]["explanation"]["sides"][-1]["name"] == "rerank"
        several = client.post("/search", json={"query": ["sea wind", "bread"], "rerank": True}).json()["hits"]
        assert [hit["id"] for hit in several[0]] == [hit.id for hit in expected]


def test_without_a_reranker_a_request_for_one_is_refused(client):
    refused = client.post("/search", json={"query": "sea", "rerank": True})
    assert "serve --rerank MODEL" in problem(refused, 422)


def test_how_files_were_cut_is_no_field_to_filter_by(serving, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "tides.md").write_text("# Tides\n\nThe moon pulls the sea.\n")
    engine = SearchEngine.build(tmp_path / "notes-ix", tmp_path / "notes", FakeEncoder())
    assert "_sync" in engine.index.info().columns
    with serving(indexes=[ServedIndex("notes", engine)]) as client:
        names = [field["name"] for field in client.get("/fields").json()["fields"]]
        assert "path" in names and not [name for name in names if name.startswith("_")]
        asked = {"query": "moon", "where": "colour = 'red'"}
        assert "_sync" not in problem(client.post("/search", json=asked), 422)
