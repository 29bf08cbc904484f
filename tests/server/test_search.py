"""Searching and explaining over HTTP gives what the engine gives."""

from __future__ import annotations

import pytest

from splade_engine.server.snippets import snippet
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
    real = type(served.current).search_vectors

    def spy(self, vectors, k=10, **options):
        seen.update(options, k=k)
        return real(self, vectors, k, **options)

    monkeypatch.setattr(type(served.current), "search_vectors", spy)
    client.post("/search", json={"query": "sea", "k": 7, "accuracy": 0.9, "where": "lang = 'en'"})
    assert seen == {"k": 7, "accuracy": 0.9, "exact": False, "where": "lang = 'en'"}
    client.post("/search", json={"query": "sea", "exact": True})
    assert seen == {"k": 10, "accuracy": None, "exact": True, "where": None}


def test_fields_choose_what_is_returned(client):
    hit = client.post("/search", json={"query": "tide", "fields": ["title", "year"]}).json()["hits"][0]
    assert set(hit) == {"rank", "id", "score", "title", "metadata"}
    assert hit["metadata"] == {"year": 1999}
    bare = client.post("/search", json={"query": "tide", "fields": []}).json()["hits"][0]
    assert set(bare) == {"rank", "id", "score"}


def test_snippet_and_reasons(client):
    body = {"query": "sea tide", "snippet": 30, "explain": True, "k": 1}
    hit = client.post("/search", json=body).json()["hits"][0]
    assert "text" not in hit
    shown = hit["snippet"]
    assert all(shown["text"][a:b].lower() in ("sea", "tide") for a, b in shown["spans"])
    assert shown["spans"]
    assert {match["term"] for match in hit["explanation"]["matches"]} == {"sea", "tide"}


@pytest.mark.parametrize("length", [20, 45, 100, 1000])
def test_snippet_holds_the_densest_stretch(length):
    text = "filler words here " * 20 + "match match match " + "more filler " * 30
    spans = [(i, i + 5) for i in range(len(text)) if text.startswith("match", i)]
    shown = snippet(text, spans, length)
    assert len(shown["text"]) <= length
    assert text[shown["start"] :].startswith(shown["text"])
    assert all(shown["text"][a:b] == "match" for a, b in shown["spans"])
    assert len(shown["spans"]) == (3 if length > 60 else max(1, len(shown["spans"])))
    assert shown["cut"] == (shown["start"] > 0, shown["start"] + len(shown["text"]) < len(text.rstrip()))


def test_snippet_of_a_text_without_spaces():
    assert len(snippet("x" * 5000, [(4000, 4010)], 100)["text"]) <= 100
    assert snippet("x" * 5000, [(4000, 4010)], 100)["spans"]
    assert snippet("", [], 100)["text"] == ""


def test_explain_any_document(client):
    hit = client.post("/explain", json={"query": "sea tide", "id": "tides"}).json()
    assert (hit["reason"], hit["rank"], hit["found_rank"]) == ("hit", 1, 1)
    assert hit["score"] == pytest.approx(sum(match["contribution"] for match in hit["matches"]))
    other = client.post("/explain", json={"query": "sea tide", "id": "bread"}).json()
    assert other["reason"] == "no shared term"
    filtered = client.post("/explain", json={"query": "sea", "id": "tides", "where": "lang = 'de'"}).json()
    assert filtered["reason"] == "filtered"
    assert "nobody" in problem(
        client.post("/explain", json={"query": "sea", "id": "nobody"}), 404, "NotFound"
    )


def test_fields_for_filters(client):
    answer = client.get("/fields").json()
    described = {field["name"]: field for field in answer["fields"]}
    assert described["lang"]["values"] == [["en", 2], ["de", 1]]
    assert (described["year"]["least"], described["year"]["most"]) == (1999, 2005)
    assert "title" not in described and "text" not in described
    assert (answer["sampled"], answer["documents"]) == (4, 4)


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
