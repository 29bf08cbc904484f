"""Tiny models for the encoder tests, made here: random weights, a vocabulary of 200 invented words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SYLLABLES = ["ba", "do", "ki", "lu", "me", "no", "pa", "ri", "so", "tu", "va", "we", "xi", "yo", "zu"]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES][:180]
VOCABULARY = [*SPECIAL, *WORDS, *(f"##{s}" for s in SYLLABLES)]
MAX_LENGTH = 48


def write_tokenizer(folder: Path, max_length: int = MAX_LENGTH) -> None:
    """A WordPiece tokenizer.json and its tokenizer_config.json."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {f"{t.strip('[]').lower()}_token": t for t in SPECIAL}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, **roles}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_bert(folder: Path, seed: int = 0, **settings: object) -> None:
    """A random BertForMaskedLM whose vectors have some 20 to 60 % of the terms."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        **settings,
    )
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.dim() == 2 else parameter.add_(0.1 * torch.randn_like(parameter))
        model.cls.predictions.bias.sub_(1.0)
    model.save_pretrained(folder)
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


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return random_texts(23)


@pytest.fixture(scope="session")
def mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain masked language model."""
    folder = tmp_path_factory.mktemp("models") / "tiny-mlm"
    write_bert(folder)
    return folder


@pytest.fixture(scope="session")
def idf() -> dict[str, float]:
    """A weight per token, none for two of them, negative for one."""
    rng = np.random.default_rng(7)
    table = {t: float(w) for t, w in zip(VOCABULARY, rng.uniform(0.1, 9, len(VOCABULARY)), strict=True)}
    del table[WORDS[3]], table[WORDS[4]]
    table[WORDS[5]] = -1.0
    return table


@pytest.fixture
def opensearch_folder(mlm_folder: Path, idf: dict[str, float], tmp_path: Path) -> Callable[[str], Path]:
    """An OpenSearch checkpoint under a name that says its version."""
    import shutil

    def make(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(mlm_folder, folder)
        (folder / "idf.json").write_text(json.dumps(idf))
        return folder

    return make


@pytest.fixture(scope="session")
def make_texts() -> Callable[..., list[str]]:
    return random_texts


@pytest.fixture(scope="session")
def make_bert() -> Callable[..., None]:
    return write_bert


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., None]:
    return write_tokenizer


@pytest.fixture(scope="session")
def vocabulary() -> list[str]:
    return VOCABULARY
