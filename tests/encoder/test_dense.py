"""Dense models: our own forward pass against sentence-transformers', on tiny models made here."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.encoder.dense import NamedDenseEncoder, load_dense
from splade_engine.errors import CheckpointError
from tests.encoder.made import WORDS
from tests.encoder.zoo import edit, write_dense


@pytest.fixture
def texts() -> list[str]:
    """Of very different lengths: none, one word, many more than the model reads."""
    words = WORDS
    rng = random.Random(3)
    found = [" ".join(rng.choices(words, k=n)) for n in (1, 2, 2, 5, 9, 17, 30, 80)] * 8
    return ["", "zzz", *found]


def _reference(folder: Path, texts: list[str], dtype: str) -> np.ndarray:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
    return model.encode(texts, normalize_embeddings=True, convert_to_tensor=True).float().numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_sentence_transformers(pooling: str, texts: list[str], tmp_path: Path):
    folder = write_dense(tmp_path / "model", pooling, modules=[("Normalize", "2_Normalize")])
    (folder / "2_Normalize").mkdir()
    model = load_dense(str(folder), dtype="float32")
    assert model.engine == "packed"
    found, wanted = model.encode(texts), _reference(folder, texts, "float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * wanted).sum(axis=1).min() > 0.99999
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    # one text alone, as a query is encoded, is the same vector; the texts differ from one another
    np.testing.assert_allclose(model.encode([texts[6]], query=True)[0], found[6], atol=2e-5)
    assert abs(found[6] @ found[8]) < 0.99


def test_half_precision_stays_close(texts: list[str], tmp_path: Path):
    folder = write_dense(tmp_path / "model")
    model = load_dense(str(folder), dtype="bfloat16")
    assert model.engine == "packed"
    assert (model.encode(texts) * _reference(folder, texts, "float32")).sum(axis=1).min() > 0.998


def test_texts_are_cut_where_the_model_cuts_them(texts: list[str], tmp_path: Path):
    folder = write_dense(tmp_path / "model", length=8)
    vectors = load_dense(str(folder), dtype="float32").encode([texts[-1], " ".join(texts[-1].split()[:6])])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)  # six words, [CLS] and [SEP]
    longer = load_dense(str(write_dense(tmp_path / "longer", length=9)), dtype="float32")
    assert vectors[0] @ longer.encode([texts[-1]])[0] < 0.9999


@pytest.mark.parametrize(
    ("pooling", "options"), [("max", {}), ("mean", {"prompts": {"query": "kime ", "document": ""}})]
)
def test_other_models_go_through_sentence_transformers(
    pooling: str, options: dict[str, Any], texts: list[str], tmp_path: Path
):
    folder = write_dense(tmp_path / "model", pooling, **options)
    model = load_dense(str(folder), dtype="float32")
    assert model.engine == "sentence-transformers"
    np.testing.assert_allclose(model.encode(texts), _reference(folder, texts, "float32"), atol=1e-5)
    if options:  # its prompt is put before a query
        asked, plain = model.encode(["bado"], query=True)[0], model.encode(["kime bado"])[0]
        np.testing.assert_allclose(asked, plain, atol=1e-5)


def test_settings_that_we_do_not_follow_go_through_sentence_transformers(texts: list[str], tmp_path: Path):
    """They were passed over, so that vectors were those of another reading."""
    folder = write_dense(tmp_path / "model")
    (folder / "sentence_bert_config.json").write_text('{"tokenizer_args": {"truncation_side": "left"}}')
    edit(folder / "tokenizer_config.json", model_max_length=8)
    model = load_dense(str(folder), dtype="float32")
    assert model.engine == "sentence-transformers"
    np.testing.assert_allclose(model.encode(texts), _reference(folder, texts, "float32"), atol=1e-5)


def test_what_is_no_number_is_refused():
    """As the teacher of mined negatives such a model wrote NaN, which is no JSON, and kept every negative."""

    class Broken:
        engine, dtype = "packed", "float16"

        def encode(self, texts: list[str], *, query: bool = False) -> np.ndarray:
            return np.array([[1.0, np.nan]], np.float32)

    with pytest.raises(CheckpointError, match="mine: a vector of this model is not finite"):
        NamedDenseEncoder(Broken(), "mine", "").encode(["a"])
