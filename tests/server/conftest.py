"""A server over a tiny index, in this process."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from splade_engine.engine import SearchEngine
from splade_engine.server import Access, Limits, ServedIndex, Settings, create_app
from tests.fake_encoder import FakeEncoder

RECORDS = [
    {
        "_id": "tides",
        "title": "Tides",
        "text": "The moon pulls the sea.\nThe sea makes a tide.",
        "year": 1999,
        "lang": "en",
    },
    {"_id": "bread", "text": "Bread needs yeast and flour.", "year": 2005, "lang": "de"},
    {"_id": "ship", "text": "A ship needs wind, a small ship needs a small wind.", "lang": "en"},
    {"_id": "a/b#1?x=1 ü", "title": "Sea storm", "text": "Storm, wave and wind in a cold sea."},
]
BASE = "http://127.0.0.1"


@pytest.fixture
def folder(tmp_path):
    SearchEngine.build(tmp_path / "ix", RECORDS, FakeEncoder())
    return tmp_path / "ix"


@pytest.fixture
def encoder():
    return FakeEncoder()


@pytest.fixture
def served(folder, encoder):
    return ServedIndex("ix", SearchEngine.open(folder, encoder))


@pytest.fixture
def serving(served):
    """Start a server with these limits and this access; `indexes` in place of the one."""

    @contextmanager
    def start(*, indexes=None, limits=None, poll=0.05, **access):
        settings = Settings(Limits(**{"threads": 2, **(limits or {})}), Access(**access), poll=poll)
        app = create_app(indexes or [served], settings)
        with TestClient(app, base_url=BASE, raise_server_exceptions=True) as client:
            yield client

    return start


@pytest.fixture
def client(serving):
    with serving() as made:
        yield made


@pytest.fixture
def writer(serving):
    with serving(write=True) as made:
        yield made


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


def problem(answer, status, kind="Validation"):
    """The message of an error that has the one shape."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "error_type", "request_id"}
    assert body["error_type"] == kind
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in json.dumps(body)
    assert "\n" not in body["error"]
    return body["error"]
