"""New generations are taken up between requests; every answer is right for the generation that it names."""

from __future__ import annotations

import os
import shutil
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from splade_engine.collections import Document
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.index import ShardedIndex
from splade_engine.ray.remote import RemoteIndex, Routing
from splade_engine.server import Limits, ServedIndex, Settings, create_app
from splade_engine.server import served as generations
from tests.fake_encoder import FakeEncoder
from tests.server.conftest import ids, problem


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_another_process_s_change_is_taken_up(client, folder):
    SearchEngine.open(folder, FakeEncoder()).add([{"id": "sky", "text": "the night sky"}])
    wait_for(lambda: client.get("/info").json()["generation"] == 2)
    assert ids(client.post("/search", json={"query": "sky"})) == ["sky"]


def test_a_rebuild_and_a_swapped_folder_are_taken_up(client, folder, tmp_path):
    SearchEngine.build(folder, [{"id": "new", "text": "star"}], FakeEncoder(), overwrite=True)
    wait_for(lambda: ids(client.post("/search", json={"query": "star"})) == ["new"])
    SearchEngine.build(tmp_path / "next", [{"id": "swapped", "text": "star"}], FakeEncoder())
    folder.rename(tmp_path / "old")
    (tmp_path / "next").rename(folder)
    wait_for(lambda: ids(client.post("/search", json={"query": "star"})) == ["swapped"])


def test_a_broken_generation_is_not_taken(client, folder, served):
    shutil.copy(folder / "manifest.json", folder / "kept")
    (folder / "manifest.json").write_text("{}")
    wait_for(lambda: served.failures == 1)
    assert ids(client.post("/search", json={"query": "tide"})) == ["tides"]
    assert 'splade_engine_index_refresh_failures{index="ix"} 1.0' in client.get("/metrics").text
    (folder / "kept").replace(folder / "manifest.json")
    wait_for(lambda: not served.is_stale())
    assert ids(client.post("/search", json={"query": "tide"})) == ["tides"]
    assert served.failures == 1  # looked at once per change, not at every poll


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), MemoryError(), ValueError("unforeseen")]
)
def test_what_could_not_be_opened_for_a_while_is_tried_again(client, folder, served, monkeypatch, error):
    """Nothing more is published: without a second look the old generation would be served for ever."""
    monkeypatch.setattr(generations, "RETRY", 0.2)
    newest, tried = served._newest, []

    def short_of_something():
        tried.append(served.current)
        if len(tried) < 3:
            raise error
        return newest()

    monkeypatch.setattr(served, "_newest", short_of_something)
    SearchEngine.open(folder, FakeEncoder()).add([{"id": "sky", "text": "the night sky"}])
    wait_for(lambda: ids(client.post("/search", json={"query": "sky"})) == ["sky"])
    assert served.failures == 2 and not served.is_stale()


def test_an_index_that_is_gone_is_no_fault_of_whoever_writes(serving, folder, served):
    with serving(write=True) as client:
        folder.rename(folder.with_name("away"))
        wait_for(lambda: served.failures == 1)
        answer = client.put("/documents", json={"documents": [{"_id": "new", "text": "star"}]})
        told = "ix: the index could not be read or written; the log says why"
        assert problem(answer, 500, "Backend") == told
        assert ids(client.post("/search", json={"query": "tide"})) == ["tides"]


def removed(folder):
    shutil.rmtree(folder)


def a_file(folder):
    removed(folder)
    folder.write_text("{}")


def a_loop_of_links(folder):
    removed(folder)
    folder.symlink_to(folder)


def a_pipe_in_place_of_the_manifest(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def a_folder_in_place_of_the_manifest(folder):
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


EVERY_OPTION = {"query": "sea wind", "hybrid": True, "must": ["sea"], "total": True, "facets": ["lang"]} | {
    "explain": True, "snippet": 50, "certainty": True, "offset": 0, "where": "year > 0 or lang = 'en'"
}  # fmt: skip
ASKED = [
    *(
        ("GET", path, None)
        for path in ("/info", "/indexes", "/fields", "/metrics", "/ready", "/documents?id=tides")
    ),
    ("GET", "/documents/tides?neighbours=2&similar=2", None),
    ("POST", "/search", EVERY_OPTION),
    ("POST", "/explain", {"query": "sea", "id": "bread"}),
    ("POST", "/embed_sparse", {"inputs": "sea"}),
    ("POST", "/embed_sparse", {"inputs": "sea", "prompt_name": "query"}),
]


@pytest.mark.parametrize(
    "change",
    [removed, a_file, a_loop_of_links, a_pipe_in_place_of_the_manifest, a_folder_in_place_of_the_manifest],
)
def test_every_route_reads_on_where_the_index_is_gone(serving, folder, served, change):
    def answers():
        found = [client.request(method, path, json=body) for method, path, body in ASKED]
        assert [answer.status_code for answer in found] == [200] * len(ASKED), [
            answer.text for answer in found
        ]
        bodies = [answer.json() for answer in found if answer.headers["content-type"] == "application/json"]
        return [dict(body, took_us=0) if isinstance(body, dict) else body for body in bodies]

    with serving(write=True) as client:
        before = answers()
        change(folder)
        wait_for(lambda: served.failures)
        assert answers() == before
        for answer in (
            client.put("/documents", json={"documents": [{"_id": "new", "text": "star"}]}),
            client.delete("/documents/tides"),
        ):
            assert problem(answer, 500, "Backend").startswith("ix: the index could not be read or written")


def test_another_encoder_comes_with_the_index_that_names_it(folder, served, monkeypatch):
    other = FakeEncoder(name="other", max_length=8)
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: other)
    SearchEngine.build(folder, [{"id": "new", "text": "star"}], other, overwrite=True)
    assert served.refresh()
    assert served.current.encoder is other
    assert [hit.id for hit in served.current.search("star")] == ["new"]


def test_another_encoder_runs_where_the_first_one_does(folder, encoder, monkeypatch):
    served = ServedIndex("ix", SearchEngine.open(folder, encoder), device="cpu")
    other, asked = FakeEncoder(name="other"), []
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: asked.append(o) or other)
    SearchEngine.build(folder, [{"id": "new", "text": "star"}], other, overwrite=True)
    assert served.refresh()
    assert [options["device"] for options in asked] == ["cpu"]


def test_a_collection_that_others_search_is_searched_by_them_when_it_is_built_anew(tmp_path, monkeypatch):
    SearchEngine.build(tmp_path / "part", [{"id": "old", "text": "tide"}], FakeEncoder())
    ShardedIndex.collect(tmp_path / "all", [tmp_path / "part"])
    engine = SearchEngine.open(tmp_path / "all", FakeEncoder())
    routed = RemoteIndex.route(engine.index, Routing({}))
    served = ServedIndex("all", SearchEngine(engine.path, routed, engine.encoder), remote=True)
    other = FakeEncoder(name="other")
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: other)
    SearchEngine.build(tmp_path / "part", [{"id": "new", "text": "star"}], other, overwrite=True)
    ShardedIndex.collect(tmp_path / "all", [tmp_path / "part"], overwrite=True)
    assert served.refresh()
    assert isinstance(served.current.index, RemoteIndex)
    assert served.current.encoder is other
    assert [hit.id for hit in served.current.search("star")] == ["new"]


def test_an_engine_s_own_settings_hold_for_every_generation(folder, encoder):
    engine = SearchEngine.open(folder, encoder, collection_idf=False)
    served = ServedIndex("ix", engine)
    assert served.current._collection_idf is False
    SearchEngine.open(folder, encoder).add([{"id": "new", "text": "star"}])
    assert served.refresh()
    assert served.current._collection_idf is False


def test_a_download_that_all_programs_share_is_not_changed(folder, encoder):
    engine = SearchEngine.open(folder, encoder)
    engine._shared = "hf://owner/name"
    served = ServedIndex("ix", engine)
    for change in (lambda: served.write([Document("new", text="star")]), lambda: served.delete(["tides"])):
        with pytest.raises(InvalidInputError, match="a download that all programs here share"):
            change()
    assert "tides" in SearchEngine.open(folder, encoder).index


def test_a_request_keeps_the_generation_that_it_began_with(folder, served):
    engine = served.current
    served.delete(["tides"])
    assert served.current is not engine
    assert [hit.id for hit in engine.search("tide")] == ["tides"]
    assert engine.search("tide")[0].title == "Tides"
    assert served.current.search("tide") == []


def test_every_answer_is_that_of_the_generation_it_names(serving, folder, served):
    """Puts, deletes and changes from outside, under searches from several threads: none lost, none wrong."""
    queries = ("salt", "storm", "water", "salt water")
    truth = {}
    lock = threading.Lock()

    def note(engine):
        answers = {q: [(h.id, h.score) for h in engine.search(q, 50)] for q in queries}
        with lock:
            truth[engine.index.generation] = answers

    note(served.current)
    seen, errors, stop = [], [], threading.Event()
    with serving(write=True, poll=0.01) as client:

        def ask():
            while not stop.is_set():
                for query in queries:
                    answer = client.post("/search", json={"query": query, "k": 50, "fields": []})
                    if answer.status_code != 200:
                        errors.append(answer.text)
                        return
                    body = answer.json()
                    hits = [(h["id"], h["score"]) for h in body["hits"]]
                    seen.append((body["generation"], query, hits))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        outside = SearchEngine.open(folder, FakeEncoder())
        for turn in range(12):
            put = [{"id": f"d{turn}", "text": "salt water " * (turn + 1)}]
            written = client.put("/documents", json={"documents": put}).json()["generation"]
            note(SearchEngine.open(folder, FakeEncoder()))
            found = client.post("/search", json={"query": "salt", "k": 50}).json()
            assert found["generation"] >= written  # who wrote reads what was written
            assert f"d{turn}" in [h["id"] for h in found["hits"]]
            outside.index.refresh()
            if turn % 3 == 2:
                outside.delete([f"d{turn - 1}"])
            else:
                outside.add([{"id": f"o{turn}", "text": "storm"}])
            note(SearchEngine.open(folder, FakeEncoder()))
        wait_for(lambda: served.current.index.generation == max(truth))
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len({generation for generation, _, _ in seen}) > 5
    wrong = [s for s in seen if truth[s[0]][s[1]] != s[2]]
    assert wrong == []


def test_reads_after_a_write_see_it_whatever_the_poll(serving):
    with serving(write=True, poll=60) as client:
        for turn in range(5):
            client.put("/documents", json={"documents": [{"id": f"n{turn}", "text": "night"}]})
            assert f"n{turn}" in ids(client.post("/search", json={"query": "night", "k": 50}))


def test_of_several_workers_each_answers_of_what_another_has_published(served, folder, monkeypatch, tmp_path):
    """Routes that do not search too: whoever has written is told of it by whichever answers next."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    app = create_app([served], Settings(Limits(threads=1), poll=60, workers=2))
    outside = SearchEngine.open(folder, FakeEncoder())
    asked = [
        lambda: client.get("/info").json(),
        lambda: client.get("/indexes").json()["indexes"][0],
        lambda: client.get("/fields").json(),
    ]
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for count, ask in enumerate(asked, start=1):
            outside.add([{"id": f"new{count}", "text": "star"}])
            told = ask()
            assert (told["generation"], told["documents"]) == (1 + count, 4 + count)


def test_opening_by_path(folder, monkeypatch):
    monkeypatch.setattr("splade_engine.encoder.SparseEncoder.load", lambda *a, **o: FakeEncoder())
    assert len(ServedIndex.open("x", folder).current) == 4
