"""Tiny models and data for the training tests: everything is made here, nothing is downloaded."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

TOPICS = 12
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeio" for c in ("ra", "lu", "mi", "to", "ne", "sa")]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = SPECIAL + WORDS


def write_tokenizer(folder: Path, vocabulary: list[str] = VOCABULARY) -> None:
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 64}))


def tiny_bert(
    folder: Path,
    *,
    seed: int = 0,
    bias: float = -4.0,
    head: bool = True,
    words: list[str] = WORDS,
    positions: int = 64,
) -> Path:
    """A one-layer BERT over the vocabulary above that starts like a lexical model, as a trained one would:
    every token's largest logit is its own, and about a tenth of the others are above zero."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertModel

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # two threads that wait for each other are slower than one
    config = BertConfig(
        vocab_size=len(SPECIAL + words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.02,
    )
    model = BertForMaskedLM(config) if head else BertModel(config)
    with torch.no_grad():
        model.base_model.embeddings.word_embeddings.weight.normal_(std=0.3)
        if head:
            torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
            model.cls.predictions.bias.fill_(bias)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    write_tokenizer(folder, SPECIAL + words)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def mistral_folder(tmp_path_factory):
    """A causal model: Mistral's layout, one layer."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-mistral"
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def topic_words(topic: int) -> list[str]:
    per = len(WORDS) // TOPICS
    return WORDS[topic * per : (topic + 1) * per]


def synthetic_rows(n: int, seed: int = 0, negatives: int = 2) -> list[dict]:
    """Queries and documents that share a topic but hardly ever a word: matching needs expansion."""
    rng = random.Random(seed)

    def document(topic: int) -> str:
        words = rng.choices(topic_words(topic)[3:], k=6) + rng.choices(WORDS, k=2)
        return " ".join(words)

    rows = []
    for i in range(n):
        topic = i % TOPICS
        others = [t for t in range(TOPICS) if t != topic]
        rng.shuffle(others)
        rows.append(
            {
                "query": " ".join(rng.sample(topic_words(topic)[:6], 2)),
                "positive": document(topic),
                "negatives": [document(t) for t in others[:negatives]],
                "scores": [9.0, *([1.0] * negatives)],
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def rows():
    return synthetic_rows(240)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory, rows):
    return write_jsonl(tmp_path_factory.mktemp("data") / "rows.jsonl", rows)


def quick_recipe(name: str, base: Path, data: Path, **overrides):
    """A published recipe shrunk to a tiny model and a few steps; double underscores stand for dots."""
    from splade_engine.training.recipe import load_recipe

    small = {
        "model.base": str(base),
        "model.document_length": 32,
        "model.query_length": 16,
        "data.sources": [{"path": str(data)}],
        "data.held_out": 0,
        "train.steps": 30,
        "train.batch_size": 12,
        "train.accumulation": 1,
        "train.lr": 1e-2,
        "train.log_steps": 5,
        "train.save_steps": 0,
        "train.collapse_below": 0.0,
        "probe.every": 0,
    }
    return load_recipe(name).override(small | {k.replace("__", "."): v for k, v in overrides.items()})


@pytest.fixture
def no_curves(monkeypatch):
    """Drawing takes longer than a tiny run."""
    monkeypatch.setattr("splade_engine.training.curves.draw_curves", lambda *args: None)
