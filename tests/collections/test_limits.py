"""The bound of a query; those of corpora are tested where they are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splade_engine.collections.limits import check_query
from splade_engine.collections.queries import query_texts, read_queries
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from tests.fake_encoder import FakeEncoder

BOUND = "more than 2,000 (SPLADE_ENGINE_MAX_QUERY_BYTES sets another bound)"


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLADE_ENGINE_MAX_QUERY_BYTES", "2000")


def test_the_default_is_a_million_characters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPLADE_ENGINE_MAX_QUERY_BYTES")
    check_query("x" * 1_000_000, "query")
    with pytest.raises(
        InvalidInputError, match=r"^query: a text of 1,000,001 characters, more than 1,000,000 "
    ):
        check_query("x" * 1_000_001, "query")


def test_files_name_the_line(tmp_path: Path):
    path = tmp_path / "queries.jsonl"
    path.write_text(
        "\n".join(json.dumps({"_id": i, "text": "tea " * n}) for i, n in (("a", 500), ("b", 501)))
    )
    with pytest.raises(InvalidInputError) as error:
        read_queries(path)
    assert str(error.value) == f"{path}:2: a text of 2,004 characters, {BOUND}"
    with pytest.raises(InvalidInputError) as error:
        query_texts(path)
    assert str(error.value) == f"{path}: query 'b': a text of 2,003 characters, {BOUND}"


def test_every_way_into_an_engine(tmp_path: Path):
    engine = SearchEngine.build(tmp_path / "ix", ["the moon"], FakeEncoder())
    assert [hit.id for hit in engine.search("moon " * 400)] == ["0"]
    long = "moon " * 501
    for call in (
        lambda: engine.search(long),
        lambda: engine.search_many(["moon", long]),
        lambda: engine.encode_queries(["moon", long]),
        lambda: engine.search(long, hybrid="sum", must=["moon"]),
    ):
        with pytest.raises(InvalidInputError, match=r"2,505 characters, more than 2,000 \(SPLADE_ENGINE"):
            call()
