"""Hybrid search and reranking from the command line, and an index without word lists."""

from __future__ import annotations

import json

import pytest

from splade_engine import SearchEngine
from splade_engine.engine.fusion import Hybrid


@pytest.mark.parametrize(
    ("arguments", "hybrid"),
    [
        (["--hybrid", "sum"], "sum"),
        (["--hybrid", "rrf"], "rrf"),
        (["--hybrid", "off"], False),
        (["--hybrid-weight", "3"], Hybrid(weight=3.0)),
        (["--hybrid", "rrf", "--hybrid-weight", "0"], Hybrid("rrf", 0.0)),
    ],
)
def test_hybrid(cli, index_folder, encoder, arguments, hybrid):
    engine = SearchEngine.open(index_folder, encoder)
    hits = json.loads(cli("search", index_folder, "yeast waves small wind", *arguments, "--json").stdout)[
        "hits"
    ]
    expected = engine.search("yeast waves small wind", hybrid=hybrid)
    assert [(hit["id"], hit["score"]) for hit in hits] == [(hit.id, hit.score) for hit in expected]


def test_each_side_is_shown(cli, index_folder):
    out = cli(
        "search", index_folder, "small wind", "-k", 1, "--hybrid", "sum", "--explain"
    ).stdout.splitlines()
    assert out[2].split(",")[0].strip() == "terms: rank 1"
    assert out[3].split(",")[0].strip() == "words: rank 1"
    assert out[4].strip().startswith("the word small: 2 times, ")
    why = json.loads(cli("search", index_folder, "small", "--hybrid", "sum", "--explain", "--json").stdout)
    sides = why["hits"][0]["explanation"]["sides"]
    assert [side["name"] for side in sides] == ["terms", "words"]


def test_reranking(cli, index_folder, monkeypatch):
    monkeypatch.setattr(
        "splade_engine.engine.rerank.cross_encoder", lambda source: lambda q, texts: [-len(t) for t in texts]
    )
    found = cli("search", index_folder, "sea wind", "--rerank", "some/model", "--rerank-depth", 2, "--json")
    assert [hit["score"] for hit in json.loads(found.stdout)["hits"]] == [-45.0, -51.0]


def test_an_index_without_word_lists(cli, refused, corpus_file, index_folder, tmp_path):
    cli("index", corpus_file, "-o", tmp_path / "bare", "--no-words")
    assert "has no word lists" in refused("search", tmp_path / "bare", "sea", "--hybrid", "sum")
    assert "words" not in json.loads(cli("info", tmp_path / "bare", "--json").stdout)["bytes"]
    assert json.loads(cli("info", index_folder, "--json").stdout)["bytes"]["words"] > 0
    assert cli("search", tmp_path / "bare", "sea", "--must", "moon").stderr == "1 of 4 documents\n"
    cli("check", index_folder)


def test_what_cannot_be_meant(refused, index_folder):
    assert "hybrid must be True, False, 'sum', 'rrf'" in refused(
        "search", index_folder, "sea", "--hybrid", "x"
    )
