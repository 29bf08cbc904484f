"""What the encoder tests are about: a vocabulary of 200 invented words, texts of them, a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny_bert

SYLLABLES = ["ba", "do", "ki", "lu", "me", "no", "pa", "ri", "so", "tu", "va", "we", "xi", "yo", "zu"]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES][:180]
VOCABULARY = [*tiny_bert.SPECIAL, *WORDS, *(f"##{s}" for s in SYLLABLES)]
MAX_LENGTH = 48


def write_tokenizer(folder: Path) -> None:
    """The tokenizer of `VOCABULARY`."""
    tiny_bert.write_tokenizer(folder, VOCABULARY, MAX_LENGTH)


def write_bert(folder: Path, seed: int = 0) -> None:
    """A random BertForMaskedLM whose vectors have some 20 to 60 % of the terms."""
    import torch

    def louder(model: Any) -> None:
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.dim() == 2 else parameter.add_(0.1 * torch.randn_like(parameter))
        model.cls.predictions.bias.sub_(1.0)

    tiny_bert.write_bert(
        folder,
        VOCABULARY,
        "BertForMaskedLM",
        seed=seed,
        change=louder,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    write_tokenizer(folder)


def random_texts(n: int, seed: int = 0, longest: int = 40) -> list[str]:
    """Texts of 1 to `longest` words, some of them in pieces, some unknown."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        words = list(rng.choice(WORDS, size=rng.integers(1, longest + 1)))
        if len(words) > 3:
            words[1] = words[1] + SYLLABLES[int(rng.integers(len(SYLLABLES)))]
            words[2] = "zzqq"
        texts.append(" ".join(words).capitalize())
    return texts
