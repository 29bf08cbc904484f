"""A small index that the adapters search."""

from __future__ import annotations

import pytest

from splade_engine import SearchEngine
from tests.fake_encoder import FakeEncoder

RECORDS = [
    {"id": "tides", "title": "Tides", "text": "The moon and the sea: a tide is a pull.", "year": 1998},
    {"id": "loaf", "text": "Bread needs yeast, flour and salt.", "year": 2015, "tags": ["food"]},
    {"id": "storm", "text": "Wind and wave in a storm at sea.", "year": 2019, "score": 7},
    {"id": "stars", "text": "A star in the night sky.", "year": 2004},
    {
        "id": "ship",
        "text": "A ship needs wind, a small ship a warm sea.",
        "year": 1990,
        "tags": ["food", "sea"],
    },
]
QUERY = "wind sea ship"


@pytest.fixture(scope="session")
def engine(tmp_path_factory) -> SearchEngine:
    return SearchEngine.build(tmp_path_factory.mktemp("integrations") / "ix", RECORDS, FakeEncoder())


@pytest.fixture
def ranking(engine) -> list[tuple[str, float]]:
    """What the engine itself finds for `QUERY`: every adapter has to give that."""
    hits = engine.search(QUERY)
    assert len(hits) == 3
    return [(hit.id, hit.score) for hit in hits]
