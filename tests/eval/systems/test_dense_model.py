"""Dense models: our own forward pass against sentence-transformers', on tiny models made here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace as Invented
from typing import Any

import numpy as np
import pytest

from splade_engine.eval import Settings, evaluate
from splade_engine.eval.systems.base import parse_system
from splade_engine.eval.systems.dense_model import load_dense_model
from tests.tiny_bert import write_bert


def _write(folder: Path, invented: Invented, pooling: str = "mean", **options: Any) -> Path:
    """A sentence-transformers folder with random weights, far enough from zero that texts differ."""
    write_bert(folder, invented.vocabulary, seed=7, num_hidden_layers=2, initializer_range=0.5)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), *options.get("modules", [])]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    modes = {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
    }
    entry = {"word_embedding_dimension": 32, **{name: m == pooling for m, name in modes.items()}}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(entry))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": options.get("length", 24)})
    )
    if "prompts" in options:
        config_file = folder / "config_sentence_transformers.json"
        config_file.write_text(json.dumps({"prompts": options["prompts"]}))
    return folder


@pytest.fixture
def texts(invented: Invented) -> list[str]:
    """Of very different lengths: none, one word, many more than the model reads."""
    words = " ".join(text for _, text in invented.documents.values()).split()
    rng = random.Random(3)
    found = [" ".join(rng.choices(words, k=n)) for n in (1, 2, 2, 5, 9, 17, 30, 80)] * 8
    return ["", "zzz", *found]


def _reference(folder: Path, texts: list[str], dtype: str) -> np.ndarray:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
    return model.encode(texts, normalize_embeddings=True, convert_to_tensor=True).float().numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_sentence_transformers(
    pooling: str, invented: Invented, texts: list[str], tmp_path: Path
):
    folder = _write(tmp_path / "model", invented, pooling, modules=[("Normalize", "2_Normalize")])
    (folder / "2_Normalize").mkdir()
    model = load_dense_model(str(folder), dtype="float32")
    assert model.engine == "packed"
    found, wanted = model.encode(texts), _reference(folder, texts, "float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * wanted).sum(axis=1).min() > 0.99999
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    # one text alone, as a query is encoded, is the same vector; the texts differ from one another
    np.testing.assert_allclose(model.encode([texts[6]], query=True)[0], found[6], atol=2e-5)
    assert abs(found[6] @ found[8]) < 0.99


def test_half_precision_stays_close(invented: Invented, texts: list[str], tmp_path: Path):
    folder = _write(tmp_path / "model", invented)
    model = load_dense_model(str(folder), dtype="bfloat16")
    assert model.engine == "packed"
    assert (model.encode(texts) * _reference(folder, texts, "float32")).sum(axis=1).min() > 0.998


def test_texts_are_cut_where_the_model_cuts_them(invented: Invented, texts: list[str], tmp_path: Path):
    folder = _write(tmp_path / "model", invented, length=8)
    vectors = load_dense_model(str(folder), dtype="float32").encode(
        [texts[-1], " ".join(texts[-1].split()[:6])]
    )
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)  # six words, [CLS] and [SEP]
    longer = load_dense_model(str(_write(tmp_path / "longer", invented, length=9)), dtype="float32")
    assert vectors[0] @ longer.encode([texts[-1]])[0] < 0.9999


@pytest.mark.parametrize(
    ("pooling", "options"), [("max", {}), ("mean", {"prompts": {"query": "how ", "document": ""}})]
)
def test_other_models_go_through_sentence_transformers(
    pooling: str, options: dict[str, Any], invented: Invented, texts: list[str], tmp_path: Path
):
    folder = _write(tmp_path / "model", invented, pooling, **options)
    model = load_dense_model(str(folder), dtype="float32")
    assert model.engine == "sentence-transformers"
    np.testing.assert_allclose(model.encode(texts), _reference(folder, texts, "float32"), atol=1e-5)
    if options:  # its prompt is put before a query
        asked, plain = model.encode(["tea"], query=True)[0], model.encode(["how tea"])[0]
        np.testing.assert_allclose(asked, plain, atol=1e-5)


def test_a_collection_under_such_a_model(collection: Path, invented: Invented, tmp_path: Path):
    folder = _write(tmp_path / "model", invented)
    settings = Settings(dense_model=str(folder), cache=tmp_path / "cache")
    result = evaluate("dense", collection, settings=settings)
    assert result.system == "dense"
    assert result.notes[0].startswith("model, encoded in ")
    assert "dense model" in parse_system("dense").models(settings)
    assert result.run is not None
    assert all(abs(float(r.scores[0])) <= 1.001 for r in result.run.rankings.values())
    assert len({r.ids[0] for r in result.run.rankings.values()}) > 1
