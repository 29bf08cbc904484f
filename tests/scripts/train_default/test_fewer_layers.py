"""The smaller size of the bundled encoder: layers left out, fitted, and written without what is lent."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.train_default import fewer_layers
from splade_engine.encoder import SparseEncoder


def test_fitting_lowers_the_error() -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=6,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.3,
    )
    teacher = BertModel(config).eval()
    student = fewer_layers.with_layers(teacher, fewer_layers.KEPT).eval()
    assert student.config.num_hidden_layers == len(student.encoder.layer) == 4
    assert teacher.config.num_hidden_layers == len(teacher.encoder.layer) == 6
    ids = torch.arange(48).reshape(4, 12) % 50
    before = student.embeddings.word_embeddings.weight.clone()

    def error() -> float:
        with torch.no_grad():
            both = [model(input_ids=ids).last_hidden_state for model in (student, teacher)]
        return float((both[0] - both[1]).square().mean() / both[1].var(correction=0))

    start = error()
    fewer_layers.fit(student, teacher, cycle([(ids, torch.ones_like(ids))]), steps=150)
    assert error() < 0.9 * start
    assert torch.equal(student.embeddings.word_embeddings.weight, before)


def test_batches_are_padded_and_masked(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"query": "q", "positive": "moon " * (i % 7 + 1)}) + "\n" for i in range(300))
    )
    texts = fewer_layers.texts_of(tmp_path, seed=1)
    assert sorted(texts) == sorted("moon " * (i % 7 + 1) for i in range(300))
    tokenizer = Tokenizer.from_file(str(fewer_layers.MODELS / fewer_layers.DEFAULT / "tokenizer.json"))
    seen = 0
    for (ids, mask), _ in zip(fewer_layers.batches(texts, tokenizer, seed=1), range(32), strict=False):
        assert ids.shape == mask.shape and len(ids) == fewer_layers.BATCH
        assert ((ids == 0) == (mask == 0)).all() and (mask.sum(1) >= 3).all()
        seen += len(ids)
    assert seen == 2 * fewer_layers.AT_A_TIME  # and begins again


@pytest.mark.slow
def test_the_folder_holds_what_differs(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    rows = (json.dumps({"positive": f"the moon and {i} tides"}) + "\n" for i in range(256))
    (sources / "a.jsonl").write_text("".join(rows))
    out = tmp_path / "out"
    fewer_layers.make(sources, out, steps=1)
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    assert (out / "model.safetensors").stat().st_size < 8_000_000
    made, kept = SparseEncoder.load(out, dtype="float32"), SparseEncoder.load("tiny", dtype="float32")
    assert (
        made.checkpoint.base == kept.checkpoint.base and made.checkpoint.settings == kept.checkpoint.settings
    )
    assert made.checkpoint.query == kept.checkpoint.query
    assert made.checkpoint.dense_head == kept.checkpoint.dense_head
    found, wanted = (e.encode_documents(["tides of the moon"]).to_scipy().toarray()[0] for e in (made, kept))
    assert found @ wanted > 0.8 * np.linalg.norm(found) * np.linalg.norm(wanted)
