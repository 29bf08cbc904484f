"""Tiny models and data for the training tests: everything is made here, nothing is downloaded."""

from __future__ import annotations

import pytest

from tests.tiny_bert import write_tokenizer
from tests.training import made


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return made.lexical_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def mistral_folder(tmp_path_factory):
    """A causal model: Mistral's layout, one layer."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-mistral"
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(made.VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    write_tokenizer(folder, made.VOCABULARY)
    return folder


@pytest.fixture(scope="session")
def rows():
    return made.synthetic_rows(240)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory, rows):
    return made.write_jsonl(tmp_path_factory.mktemp("data") / "rows.jsonl", rows)


@pytest.fixture
def no_curves(monkeypatch):
    """Drawing takes longer than a tiny run."""
    monkeypatch.setattr("splade_engine.training.run.curves.draw_curves", lambda *args: None)
