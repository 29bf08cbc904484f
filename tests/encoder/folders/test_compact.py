from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.checkpoint import QueryTable
from splade_engine.encoder.folders.compact import quantize_rows, read_state, save_quantized
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.errors import CheckpointError, InvalidInputError


@pytest.fixture(scope="module")
def model(mlm_folder: Path):
    from transformers import BertForMaskedLM

    return BertForMaskedLM.from_pretrained(mlm_folder).eval()


def save(model, mlm_folder: Path, folder: Path, settings: dict[str, object] | None = None, **options) -> None:
    if settings is not None:
        options["name"] = settings.pop("name", "")
        options["settings"] = EncoderSettings(**{"special_tokens": "zero", **settings})
    arguments = {
        "state": model.state_dict(),
        "config": model.config.to_dict(),
        "tokenizer": mlm_folder / "tokenizer.json",
        **options,
    }
    save_quantized(folder, **arguments)


def test_rows_are_within_half_a_step() -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((50, 96)) * 10.0 ** rng.integers(-4, 4, (50, 1))).astype(np.float32)
    matrix[7] = 0
    codes, scale = quantize_rows(matrix)
    assert codes.dtype == np.int8 and scale.dtype == np.float16
    restored = codes * scale.astype(np.float32)[:, None]
    step = scale.astype(np.float32)[:, None]
    assert (np.abs(restored - matrix) <= 0.5001 * step).all()
    assert (step[:, 0] <= np.abs(matrix).max(1) / 127 * 1.001 + 6e-8).all()
    with pytest.raises(InvalidInputError, match="float16"):
        quantize_rows(np.array([[1e9]], np.float32))


@pytest.mark.parametrize(("scheme", "least"), [("int8", 0.995), ("float16", 0.99999)])
def test_round_trip(
    model, mlm_folder: Path, texts: list[str], tmp_path: Path, scheme: str, least: float
) -> None:
    settings = {"name": "tiny", "special_tokens": "keep", "max_length": 48}
    save(model, mlm_folder, tmp_path / "q", settings=settings, scheme=scheme)
    compact = SparseEncoder.load(tmp_path / "q", dtype="float32")
    assert (compact.name, compact.max_length, compact.inference_free) == ("tiny", 48, False)
    found = compact.encode_documents(texts).to_scipy().toarray()
    full = SparseEncoder.load(mlm_folder, dtype="float32").encode_documents(texts).to_scipy().toarray()
    cosine = (found * full).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(full, axis=1)
    assert cosine.min() > least
    # what the file says is what runs: the backbone that training starts from has the same logits
    import torch

    from splade_engine.encoder.backbone import load_backbone

    backbone = load_backbone(read_checkpoint(tmp_path / "q"), "cpu", torch.float32)
    ids = torch.tensor([[2, 9, 30, 77, 3]])
    with torch.no_grad():
        states = backbone(ids, torch.ones_like(ids))[0]
        expected = torch.log1p(torch.relu(states @ backbone.decoder_weight.T + backbone.decoder_bias)).amax(0)
    words = " ".join(compact.vocabulary[i] for i in (9, 30, 77))
    np.testing.assert_allclose(
        compact.encode_documents([words]).to_scipy().toarray()[0], expected.numpy(), atol=1e-5
    )


def test_files_and_sizes(model, mlm_folder: Path, tmp_path: Path) -> None:
    table = np.linspace(0, 3, 200, dtype=np.float32)
    save(model, mlm_folder, tmp_path / "q", query_weights=table, readme="# A card\n")
    names = {p.name for p in (tmp_path / "q").iterdir()}
    assert names == {
        "config.json", "tokenizer.json", "model.safetensors", "query_weights.safetensors", "README.md"
    }  # fmt: skip
    matrices = sum(t.numel() for n, t in model.state_dict().items() if t.dim() == 2 and "decoder" not in n)
    assert (tmp_path / "q" / "model.safetensors").stat().st_size < 1.3 * matrices + 12_000
    assert (
        json.loads((tmp_path / "q" / "config.json").read_text())["splade_engine"]["special_tokens"] == "zero"
    )
    encoder = SparseEncoder.load(tmp_path / "q")
    assert encoder.inference_free
    assert isinstance(encoder.checkpoint.query, QueryTable)
    query = encoder.encode_queries([encoder.vocabulary[100]])
    assert (query.terms.tolist(), query.weights.tolist()) == ([100], [table[100]])


def test_it_replaces_a_folder_as_a_whole(model, mlm_folder: Path, tmp_path: Path) -> None:
    save(model, mlm_folder, tmp_path / "q", query_weights=np.ones(200, np.float32))
    with pytest.raises(InvalidInputError, match="not empty"):
        save(model, mlm_folder, tmp_path / "q")
    save(model, mlm_folder, tmp_path / "q", overwrite=True)
    assert not (tmp_path / "q" / "query_weights.safetensors").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["q"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": {"model_type": "roberta"}}, "roberta"),
        ({"scheme": "int4"}, "int4"),
        ({"query_weights": np.ones(7, np.float32)}, r"\(7,\) for a vocabulary of 200"),
        ({"query_weights": np.full(200, -1, np.float32)}, r"query_weights\[0\] is -1"),
        ({"query_weights": np.full(200, 1e300)}, r"query_weights\[0\] is inf"),
        ({"state": {"w": np.full((2, 2), np.nan, np.float32)}}, "w holds a value"),
    ],
)
def test_bad_input(model, mlm_folder: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        save(model, mlm_folder, tmp_path / "q", **options)
    assert not (tmp_path / "q").exists()


def test_untied_decoder_is_refused(model, mlm_folder: Path, tmp_path: Path) -> None:
    state = {k: v.clone() for k, v in model.state_dict().items()}
    state["cls.predictions.decoder.weight"] += 1
    with pytest.raises(InvalidInputError, match=r"decoder\.weight differs"):
        save(model, mlm_folder, tmp_path / "q", state=state)


def test_damaged_file(model, mlm_folder: Path, tmp_path: Path) -> None:
    save(model, mlm_folder, tmp_path / "q")
    path = tmp_path / "q" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        read_state(tmp_path / "q")


def test_light_terms_go(model, mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    table = np.full(model.config.vocab_size, 0.1, np.float32)
    settings = {"max_length": 48}
    save(model, mlm_folder, tmp_path / "all", query_weights=table, settings=settings)
    save(model, mlm_folder, tmp_path / "few", query_weights=table, settings={**settings, "min_weight": 0.3})
    everything = SparseEncoder.load(tmp_path / "all", dtype="float32")
    few = SparseEncoder.load(tmp_path / "few", dtype="float32")
    dense = everything.encode_documents(texts).to_scipy().toarray()
    assert ((dense > 0) & (dense < 0.3)).any()
    found = few.encode_documents(texts)
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.where(dense >= 0.3, dense, 0))
    assert few.encode_queries(texts) == everything.encode_queries(texts), "queries keep their light terms"
    assert few.fingerprint()["hash"] != everything.fingerprint()["hash"]
    few.save(tmp_path / "st")
    again = SparseEncoder.load(tmp_path / "st", dtype="float32")
    assert again.encode_documents(texts) == found


def test_counted_queries_survive_the_folders(model, mlm_folder: Path, tmp_path: Path) -> None:
    table = np.full(model.config.vocab_size, 0.5, np.float32)
    settings = {"max_length": 48}
    save(model, mlm_folder, tmp_path / "once", query_weights=table, settings=settings)
    save(model, mlm_folder, tmp_path / "n", query_weights=table, settings={**settings, "query_counts": True})
    once, counted = SparseEncoder.load(tmp_path / "once"), SparseEncoder.load(tmp_path / "n")
    assert once.encode_queries(["bado bado"]).weights.tolist() == [0.5]
    assert counted.encode_queries(["bado bado"]).weights.tolist() == [1.0]
    assert counted.query_table is not None and counted.query_table[7] == 0.5
    assert once.fingerprint()["hash"] != counted.fingerprint()["hash"]
    counted.save(tmp_path / "st")
    assert SparseEncoder.load(tmp_path / "st").encode_queries(["bado bado"]).weights.tolist() == [1.0]


def test_queries_keep_their_heaviest_terms(model, mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    table = np.linspace(1, 2, model.config.vocab_size, dtype=np.float32)
    settings = {"max_length": 48}
    save(model, mlm_folder, tmp_path / "all", query_weights=table, settings=settings)
    save(model, mlm_folder, tmp_path / "few", query_weights=table, settings={**settings, "query_top_k": 3})
    everything, few = SparseEncoder.load(tmp_path / "all"), SparseEncoder.load(tmp_path / "few")
    queries = everything.encode_queries(texts)
    assert queries.row_nnz.max() > 4
    assert few.encode_queries(texts) == queries.top_k(3)
    assert few.encode_queries(texts, top_k=4) == queries.top_k(4), "what the caller says counts"
    assert few.encode_documents(texts).row_nnz.max() > 3
    few.save(tmp_path / "st")
    assert SparseEncoder.load(tmp_path / "st").encode_queries(texts) == queries.top_k(3)


def test_others_may_read_the_files(model, mlm_folder: Path, tmp_path: Path) -> None:
    """Written by safetensors, which makes its files for the owner alone."""
    save(model, mlm_folder, tmp_path / "q")
    plain = tmp_path / "plain"
    plain.touch()
    assert {p.stat().st_mode for p in (tmp_path / "q").iterdir()} == {plain.stat().st_mode}
