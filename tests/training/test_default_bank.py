"""The corpus that the bundled encoder's queries are searched in, from the invented collections."""

from __future__ import annotations

import json

import pytest

from splade_engine.training import default_bank
from splade_engine.training.default_data import sentences, write_sources
from tests.training import test_default_data as data_test

folder, few_distractors = data_test.folder, data_test.few_distractors


@pytest.fixture
def sources(folder, tmp_path):
    return write_sources(folder, tmp_path / "sources")


def written(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_corpus_holds_passages_siblings_and_training_documents(folder, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(default_bank, "PASSAGES", 5)
    count = default_bank.write_corpus(folder, sources, tmp_path / "corpus.jsonl")
    rows = written(tmp_path / "corpus.jsonl")
    texts = [row["text"] for row in rows]
    assert [row["_id"] for row in rows] == [str(i) for i in range(count)]
    assert len(set(texts)) == count
    assert [t.split(".")[0] for t in texts if t.startswith("Lamp Wiki")] == [
        f"Lamp Wiki{i}"
        for i in range(4, 9)  # not one of the four distractors
    ]
    trained = {
        row["positive"] for path in sources if path.stem == "wikipedia-sentences" for row in written(path)
    }
    assert trained and set(sentences(data_test.PASSAGE)) >= trained
    assert set(sentences(data_test.PASSAGE)) <= set(texts)
    for path in sources:
        inside = {row["positive"] for row in written(path)} <= set(texts)
        assert inside or path.stem == "wikipedia"  # long ones, made of several passages, are not


def test_corpus_stays_apart_from_test_texts(folder, sources, tmp_path):
    test = tmp_path / "test"
    test.mkdir()
    (test / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": data_test.PASSAGE}) + "\n")
    count = default_bank.write_corpus(folder, sources, tmp_path / "corpus.jsonl", [test])
    texts = [row["text"] for row in written(tmp_path / "corpus.jsonl")]
    assert count == len(texts) and not any("harbour2, " in text for text in texts)
