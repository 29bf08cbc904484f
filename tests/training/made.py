"""What the training tests are about: words in topics, rows of them, a tiny model, a short recipe."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests import tiny_bert

TOPICS = 12
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeio" for c in ("ra", "lu", "mi", "to", "ne", "sa")]
VOCABULARY = tiny_bert.SPECIAL + WORDS


def lexical_bert(
    folder: Path, *, bias: float = -4.0, head: bool = True, words: list[str] = WORDS, positions: int = 64
) -> Path:
    """A one-layer BERT that starts like a lexical model, as a trained one would.

    Every token's largest logit is its own, and about a tenth of the others are above zero.
    """
    import torch

    def lexical(model: Any) -> None:
        model.base_model.embeddings.word_embeddings.weight.normal_(std=0.3)
        if head:
            torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
            model.cls.predictions.bias.fill_(bias)

    torch.set_num_threads(1)  # two threads that wait for each other are slower than one
    kind = "BertForMaskedLM" if head else "BertModel"
    vocabulary = tiny_bert.SPECIAL + words
    return tiny_bert.write_bert(folder, vocabulary, kind, change=lexical, max_position_embeddings=positions)


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


def write_jsonl(path: Path, rows: list[dict | str]) -> Path:
    """A row that is text already is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def quick_recipe(name: str, base: Path, data: Path, **overrides: Any) -> Any:
    """A published recipe shrunk to a tiny model and a few steps; double underscores stand for dots."""
    from splade_engine.training.recipe.recipe import load_recipe

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
