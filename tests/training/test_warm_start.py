"""The warm start of an inference-free encoder on a tiny model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.default_data import Pair
from splade_engine.training.teachers import DenseTeacher
from splade_engine.training.warm_start import WarmStartConfig, neighbour_batches, warm_start

CONFIG = WarmStartConfig(
    steps=20, batch_size=8, group=4, warmup=3, lr=3e-3, head_lr=3e-3, document_length=32, query_length=16
)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeio" for c in ("ra", "lu", "mi", "to", "ne", "sa")]
    out = []
    for i in range(60):
        document = rng.choice(words, 12)
        out.append(Pair(" ".join(rng.choice(document, 3)), " ".join(document), "ab"[i % 2]))
    return out


def load(folder):
    from transformers import BertForMaskedLM

    return BertForMaskedLM.from_pretrained(folder).eval()


def run(folder, pairs, config=CONFIG):
    model = load(folder)
    tokenizers = TextTokenizer(folder, config.document_length), TextTokenizer(folder, config.query_length)
    idf = np.full(model.config.vocab_size, 4.0, np.float32)
    idf[tokenizers[0].special_ids] = 0
    return model, warm_start(model, tokenizers, pairs, idf, DenseTeacher(folder), config)


def test_losses_fall(bert_folder, pairs):
    _, log = run(bert_folder, pairs)
    assert len(log) == CONFIG.steps
    first, last = (np.mean([row["terms"] for row in part]) for part in (log[:4], log[-4:]))
    assert last < 0.7 * first
    assert np.mean([row["kl"] for row in log[-4:]]) < np.mean([row["kl"] for row in log[:4]])
    assert all(np.isfinite(list(row.values())).all() for row in log)


def test_the_same_seed_gives_the_same_model(bert_folder, pairs):
    config = WarmStartConfig(**{**vars(CONFIG), "steps": 3})
    one, two = run(bert_folder, pairs, config)[0], run(bert_folder, pairs, config)[0]
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def test_batches_hold_one_source_and_each_document_once(bert_folder, pairs):
    repeated = [*pairs, *(pair._replace(query="bara") for pair in pairs[:10])]
    batches = neighbour_batches(repeated, DenseTeacher(bert_folder), CONFIG)
    for _ in range(20):
        batch = next(batches)
        assert len({repeated[i].source for i in batch}) == 1
        assert len({repeated[i].document for i in batch}) == len(batch) > 4


def test_too_few_pairs(bert_folder, pairs):
    with pytest.raises(DatasetError, match="no source has 8 pairs"):
        next(neighbour_batches(pairs[:6], DenseTeacher(bert_folder), CONFIG))


def test_settings_out_of_range():
    with pytest.raises(InvalidInputError, match="out of range"):
        WarmStartConfig(batch_size=8, group=8)
