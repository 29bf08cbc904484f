"""A collection of indexes behind the server."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from splade_engine.engine import SearchEngine
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.server import Access, ServedIndex, Settings, create_app
from tests.fake_encoder import FakeEncoder

RECORDS = [
    {"_id": "tides", "text": "The moon pulls the sea.", "year": 1999},
    {"_id": "bread", "text": "Bread needs yeast and flour.", "year": 2005},
    {"_id": "ship", "text": "A ship needs wind."},
    {"_id": "storm", "text": "Storm, wave and wind in a cold sea."},
]


@pytest.fixture
def folder(tmp_path):
    shards = [SearchEngine.build(tmp_path / f"s{i}", RECORDS[i : i + 2], FakeEncoder()).path for i in (0, 2)]
    return ShardedIndex.collect(tmp_path / "c", shards).path


def test_a_collection_is_served_changed_and_followed(folder, tmp_path):
    served = ServedIndex("c", SearchEngine.open(folder, FakeEncoder()))
    app = create_app([served], Settings(access=Access(write=True)))
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def found(query, **options):
            answer = client.post("/search", json={"query": query, **options})
            assert answer.status_code == 200, answer.text
            return [hit["id"] for hit in answer.json()["hits"]]

        assert sorted(found("sea wind")) == ["ship", "storm", "tides"]
        assert found("sea wind", where="year = 1999") == ["tides"]
        before = client.get("/info").json()
        assert before["documents"] == 4
        put = client.put("/documents", json={"documents": [{"_id": "night", "text": "star night"}]})
        assert put.status_code == 200, put.text
        assert found("star") == ["night"]
        assert client.delete("/documents/storm").status_code == 200
        assert sorted(found("sea wind")) == ["ship", "tides"]
        assert client.get("/info").json()["generation"] > before["generation"]
        # a shard that somebody else changes
        SparseIndex.open(tmp_path / "s2").delete(["ship"])
        assert served.is_stale()
        served.refresh()
        assert found("sea wind") == ["tides"]
        assert not served.is_stale()
