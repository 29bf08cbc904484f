"""Documents: read by id, put and deleted, alone and many at a time."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from splade_engine.engine import SearchEngine
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.server import ServedIndex
from tests.fake_encoder import FakeEncoder
from tests.server.conftest import RECORDS, ids, problem


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["_id"])
def test_document_by_id(client, record):
    answer = client.get(f"/documents/{quote(record['_id'], safe='')}").json()
    assert answer["text"] == record["text"]
    assert answer["title"] == record.get("title", "")
    rest = {name: value for name, value in record.items() if name not in ("_id", "title", "text")}
    assert answer["metadata"] == rest
    assert "similar" not in answer and "before" not in answer


def test_document_with_neighbours(client):
    answer = client.get("/documents/bread", params={"neighbours": 2, "similar": 2}).json()
    assert [n["id"] for n in answer["before"]] == ["tides"]
    assert [n["id"] for n in answer["after"]] == ["ship", "a/b#1?x=1 ü"]
    assert [s["id"] for s in answer["similar"]] == ["ship", "a/b#1?x=1 ü"]
    assert "neighbours" in problem(client.get("/documents/bread", params={"neighbours": "many"}), 422)
    assert problem(client.get("/documents/nobody"), 404, "NotFound") == "no document with id 'nobody'"


def test_several_documents(client):
    answer = client.get("/documents", params=[("id", "ship"), ("id", "no"), ("id", "tides")]).json()
    assert [d["id"] for d in answer["documents"]] == ["ship", "tides"]
    assert answer["missing"] == ["no"]
    problem(client.get("/documents"), 400, "Empty")


def test_put_is_found_at_once_and_names_its_generation(writer, folder):
    documents = [{"id": "sky", "text": "the night sky", "year": 2020}]
    answer = writer.put("/documents", json={"documents": documents}).json()
    assert answer == {
        "index": "ix",
        "generation": 2,
        "written": 1,
        "deleted": 0,
        "missing": [],
        "documents": 5,
    }
    found = writer.post("/search", json={"query": "sky"})
    assert ids(found) == ["sky"]
    assert found.json()["generation"] == 2
    assert len(SearchEngine.open(folder, encoder=writer_encoder())) == 5  # on the disk
    replaced = writer.put("/documents", json={"documents": [{"id": "sky", "text": "bread and salt"}]})
    assert replaced.json()["documents"] == 5
    assert ids(writer.post("/search", json={"query": "sky"})) == []


def writer_encoder():
    from tests.fake_encoder import FakeEncoder

    return FakeEncoder()


def test_documents_that_no_query_finds_are_told(writer):
    sent = [
        {"_id": "known", "text": "star"},
        {"_id": "odd", "text": "qqq"},
        {"_id": "odd too", "text": "xxx"},
    ]
    answer = writer.put("/documents", json={"documents": sent}).json()
    assert (answer["written"], answer["unfindable"]) == (3, ["odd", "odd too"])
    answer = writer.put("/documents", json={"documents": [{"_id": "odd", "text": "star"}]}).json()
    assert "unfindable" not in answer


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"f": "x\ud800"}, {"f": "x\ufffd"}),
        ({"year": "x\ud800"}, {"year": "x\ufffd"}),
        ({"f": ["x\ud800", "\udc00y"]}, {"f": ["x\ufffd", "\ufffdy"]}),
        ({"f": {"g": [{"h": "x\ud800"}]}}, {"f": {"g": [{"h": "x\ufffd"}]}}),
        ({"metadata": {"f": {"g": "x\ud800"}}}, {"f": {"g": "x\ufffd"}}),
        ({"x\ud800": 1}, None),
        ({"f": {"g": [{"x\ud800": 1}]}}, None),
        ({"metadata": {"x\ud800": 1}}, None),
    ],
)
def test_half_a_surrogate_pair_at_any_depth(writer, fields, kept):
    """A value is kept as JSON has it, and was told as `x?`; a name is refused."""
    body = json.dumps({"documents": [{"id": "x", "text": "salt", **fields}]})
    answer = writer.put("/documents", content=body, headers={"content-type": "application/json"})
    if kept is None:
        assert "half a surrogate pair" in problem(answer, 422)
        return
    assert answer.status_code == 200
    assert writer.get("/documents/x").json()["metadata"] == kept
    assert writer.post("/search", json={"query": "salt"}).json()["hits"][0]["metadata"] == kept


def test_delete(writer):
    assert writer.delete("/documents/ship").json()["deleted"] == 1
    problem(writer.delete("/documents/ship"), 404, "NotFound")
    problem(writer.get("/documents/ship"), 404, "NotFound")
    answer = writer.delete("/documents", params=[("id", "tides"), ("id", "ship")]).json()
    assert (answer["deleted"], answer["missing"], answer["documents"]) == (1, ["ship"], 2)


def test_deleting_waits_for_another_writer_as_putting_does(writer, folder):
    """`DELETE` was refused (409) where another process added a document just then."""
    other = IndexWriter(folder)
    other.__enter__()
    ends = threading.Timer(0.3, other.__exit__, (None, None, None))
    ends.start()
    assert writer.delete("/documents/ship").json()["deleted"] == 1
    ends.join()


def test_an_id_with_line_breaks_is_a_document_of_its_own(writer):
    """A path `a%0A` was that of document `a`, and `a%0Ab` none."""
    ids_put = ["a", "a\n", "a\nb", "\n"]
    writer.put("/documents", json={"documents": [{"id": name, "text": "salt"} for name in ids_put]})
    for name in reversed(ids_put):
        assert writer.get(f"/documents/{quote(name)}").json()["id"] == name
        assert writer.delete(f"/documents/{quote(name)}").json()["deleted"] == 1
        problem(writer.get(f"/documents/{quote(name)}"), 404, "NotFound")
    assert len(ids(writer.post("/search", json={"query": "salt"}))) == 0


@pytest.mark.parametrize("id", ["x\0", "\0", "x\x1b[2J", "é" * 2049])
def test_an_id_that_no_document_can_have_is_not_found(writer, id):
    """It was a fault of "document 0"."""
    told = f"no document with id {id!r}"[:900]
    for method in ("GET", "DELETE"):
        assert problem(writer.request(method, f"/documents/{quote(id)}"), 404, "NotFound")[:600] == told[:600]
    asked = {"query": "sea", "id": id}
    assert problem(writer.post("/explain", json=asked), 404, "NotFound")[:600] == told[:600]
    for method in ("GET", "DELETE"):
        answer = writer.request(method, "/documents", params={"id": ["bread", id]})
        assert answer.status_code == 200 and answer.json()["missing"] == [id]


def test_a_bad_document_writes_nothing(writer):
    good = {"id": "g", "text": "salt"}
    for bad, told in (
        ({"id": "x"}, "documents.1: the field text is missing"),
        ({"id": "", "text": "a"}, "documents.1: the id is empty"),
        ({"id": "x", "text": " "}, "documents.1: 'x' has neither title nor text"),
        ({"id": "x", "text": 5}, "documents.1: the field text must be a string, got 5"),
        ({"id": "g", "text": "a"}, "documents.1: the id 'g' stands there twice"),
        ({"id": "y" * 5000, "text": "salt"}, None),
    ):
        message = problem(writer.put("/documents", json={"documents": [good, bad]}), 422)
        assert told is None or message == told
        problem(writer.get("/documents/g"), 404, "NotFound")
    problem(writer.put("/documents", json={"documents": []}), 400, "Empty")
    assert writer.get("/info").json()["generation"] == 1


def test_reading_servers_refuse_changes(client):
    for answer in (
        client.put("/documents", json={"documents": [{"id": "x", "text": "salt"}]}),
        client.delete("/documents/ship"),
        client.delete("/documents", params={"id": "ship"}),
    ):
        assert "--write" in problem(answer, 403, "Unauthorized")
    assert client.get("/info").json()["generation"] == 1


def test_requests_that_wait_are_joined_and_one_bad_one_fails_alone(writer, served, encoder):
    """The first put holds the line; what comes meanwhile is one commit, but for what is to blame itself."""
    entered, go_on = threading.Event(), threading.Event()
    real, calls = encoder.encode_documents, []

    def slow(texts, **options):
        calls.append(len(texts))
        entered.set()
        go_on.wait(10)
        return real(texts, **options)

    encoder.encode_documents = slow

    def put(id, text="salt water"):
        return writer.put("/documents", json={"documents": [{"id": id, "text": text}]})

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(put, "first")
        entered.wait(10)
        rest = [pool.submit(put, f"d{i}") for i in range(5)]
        while writer.app._app.router.lifespan_context and _line(writer) < 5:
            pass
        go_on.set()
        answers = [first.result(), *(f.result() for f in rest)]
    assert all(a.status_code == 200 for a in answers)
    assert [a.json()["generation"] for a in answers] == [2, 3, 3, 3, 3, 3]
    assert calls == [1, 5]
    assert len(served.current) == 10


def _line(client):
    text = client.get("/metrics").text
    waiting = next(float(x.split()[1]) for x in text.splitlines() if x.startswith("splade_engine_document_t"))
    return round(waiting / 3) - 1  # each document here counts as three tokens


def test_embedding_as_text_embeddings_inference_has_it(client, encoder):
    texts = ["bread and salt", "sea"]
    answer = client.post("/embed_sparse", json={"inputs": texts}).json()
    expected = encoder.encode_documents(texts)
    assert [{v["index"]: v["value"] for v in row} for row in answer] == [
        dict(zip(t.tolist(), w.tolist(), strict=True)) for t, w in expected
    ]
    one = client.post("/embed_sparse", json={"inputs": "bread", "prompt_name": "query"}).json()
    assert one == [[{"index": 5, "value": 1.0}]]
    problem(client.post("/embed_sparse", json={"inputs": []}), 400, "Empty")
    assert "truncation_direction" in problem(
        client.post("/embed_sparse", json={"inputs": "a", "truncation_direction": "Left"}), 422
    )
    problem(client.post("/embed_sparse", json={"inputs": [[1, 2]]}), 422)
    info = client.get("/info").json()
    assert info["model_id"] == "fake" and info["auto_truncate"] is True
    assert info["max_client_batch_size"] == 32
    problem(client.post("/embed_sparse", json={"inputs": ["a"] * 33}), 413)


def test_documents_are_cut_as_those_of_the_index_and_deleted_whole(serving, tmp_path):
    long = ". ".join(["The cold sea and the storm and a small ship"] * 40)
    SearchEngine.build(tmp_path / "cut", [{"id": "log", "text": long}], FakeEncoder(), passages=64)
    served = ServedIndex("cut", SearchEngine.open(tmp_path / "cut", FakeEncoder()))
    passages = len(served.current)
    with serving(indexes=[served], write=True) as client:
        documents = [{"id": "second", "text": long}, {"id": "short", "text": "bread"}]
        answer = client.put("/documents", json={"documents": documents}).json()
        assert (answer["written"], answer["documents"]) == (2, 2 * passages + 1)
        assert "unfindable" not in answer
        odd = "qqq xxx. " * 100
        half = [
            {"id": "half", "text": f"{long}. {odd}"},
            {"id": "odd", "text": odd},
            {"id": "known", "text": "sea"},
        ]
        unfindable = client.put("/documents", json={"documents": half}).json()["unfindable"]
        assert unfindable[-1] == "odd" and len(unfindable) > 1
        assert all(
            client.get(f"/documents/{quote(id, safe='')}").json()["metadata"]["parent"] == "half"
            for id in unfindable[:-1]
        )
        client.delete("/documents", params=[("id", "half"), ("id", "odd"), ("id", "known")])
        bad = {"documents": [{"id": "x", "text": "salt", "parent": "second"}]}
        assert "'parent' has a name that passages need" in problem(client.put("/documents", json=bad), 422)
        first = client.get(f"/documents/{quote('second#1', safe='')}").json()
        assert long.startswith(first["text"]) and first["metadata"]["parent"] == "second"
        answer = client.delete("/documents", params=[("id", "second"), ("id", "no")]).json()
        assert (answer["deleted"], answer["missing"], answer["documents"]) == (1, ["no"], passages + 1)
