"""Closed-form alignment of a vocabulary head."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertModel

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, DatasetError, InvalidInputError
from splade_engine.training.data.sources import JsonlSource
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.alignment import (
    AlignmentConfig,
    aligned_checkpoint,
    aligned_model,
    fit_head,
    logit_statistics,
    token_states,
)
from splade_engine.training.student.build import build_student
from tests.tiny_bert import SPECIAL, write_bert

WORDS = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]
VOCABULARY = [*SPECIAL, *WORDS]
WIDTH = 32


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A random BERT encoder without a head, whose states keep their token's embedding.

    Its residual layers are small.
    """
    folder = tmp_path_factory.mktemp("encoder")
    return write_bert(
        folder,
        VOCABULARY,
        num_hidden_layers=2,
        intermediate_size=48,
        max_position_embeddings=40,
        initializer_range=0.2,
        add_pooling_layer=False,
    )


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 20)) for _ in range(80)]


def test_fit_head_is_weighted_ridge_regression():
    rng = np.random.default_rng(1)
    states = rng.normal(size=(50, 6))
    tokens = rng.integers(0, 9, 50)
    embeddings = rng.normal(size=(9, 6))
    targets = embeddings - embeddings.mean(0)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    share = np.bincount(tokens, minlength=9)[tokens] ** -0.5
    share /= share.mean()
    inputs = np.c_[states, np.ones(50)]
    gram = inputs.T @ np.diag(share) @ inputs + 3.0 * np.eye(7)
    wanted = np.linalg.solve(gram, inputs.T @ np.diag(share) @ targets[tokens])
    weight, bias = fit_head(*(torch.from_numpy(a) for a in (states, tokens, embeddings)), ridge=3.0)
    np.testing.assert_allclose(weight.numpy(), wanted[:-1].T, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), wanted[-1], atol=1e-5)


def test_logit_statistics_are_those_of_the_logits():
    torch.manual_seed(2)
    outputs, embeddings = torch.randn(200, 8), torch.randn(30, 8)
    logits = outputs @ embeddings.T
    mean, spread = logit_statistics(outputs, embeddings)
    torch.testing.assert_close(mean, logits.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(spread, logits.std(0), atol=1e-5, rtol=1e-4)


def test_states_leave_out_padding_and_special_tokens(encoder_folder, texts):
    model = BertModel.from_pretrained(encoder_folder, add_pooling_layer=False).eval()
    tokenizer = TextTokenizer(encoder_folder, 40)
    states, tokens = token_states(model, tokenizer, [*texts[:3], "worda" * 3, WORDS[0]])
    words = sum(len(t.split()) for t in texts[:3]) + 1
    assert len(states) == len(tokens) == words  # the unknown word is a special token too
    assert tokens.min() >= 5


def test_an_aligned_head_gives_each_token_its_own_term(encoder_folder, texts):
    model = aligned_model(encoder_folder, texts, AlignmentConfig(ridge=1e-2))
    tokenizer = TextTokenizer(encoder_folder, 40)
    states, tokens = token_states(model.bert, tokenizer, texts[:20])
    with torch.no_grad():
        logits = model.cls.predictions(states)
    assert (logits[:, 5:].argmax(1) + 5 == tokens).float().mean() > 0.6
    untrained = BertForMaskedLM(model.config).eval()
    untrained.bert.load_state_dict(model.bert.state_dict())
    with torch.no_grad():
        before = untrained.cls.predictions(states)
    assert (before[:, 5:].argmax(1) + 5 == tokens).float().mean() < 0.3


def test_a_higher_threshold_leaves_fewer_terms(encoder_folder, texts):
    counts = []
    for spread in (0.0, 1.0, 2.0):
        model = aligned_model(encoder_folder, texts, AlignmentConfig(spread=spread))
        states, _ = token_states(model.bert, TextTokenizer(encoder_folder, 40), texts[:10])
        with torch.no_grad():
            counts.append(int((model.cls.predictions(states) > 0).sum()))
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_checkpoint_is_a_masked_lm_that_transformers_loads(encoder_folder, texts, tmp_path):
    folder = aligned_checkpoint(encoder_folder, texts, tmp_path / "aligned")
    assert folder == tmp_path / "aligned"
    again = BertForMaskedLM.from_pretrained(folder).eval()
    model = aligned_model(encoder_folder, texts)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, msg=name)
    assert (folder / "tokenizer.json").is_file()


def test_nothing_to_fit_on(encoder_folder):
    with pytest.raises(DatasetError, match="no text"):
        aligned_model(encoder_folder, [])


def test_not_a_bert_encoder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match="gpt2"):
        aligned_model(tmp_path, ["text"])
    with pytest.raises(CheckpointError, match="no model to align"):
        aligned_model(tmp_path / "absent", ["text"])


@pytest.mark.parametrize("bad", [{"ridge": 0.0}, {"gain": -1.0}, {"texts": 0}, {"shift": -1.0}])
def test_settings_out_of_range(bad):
    with pytest.raises(InvalidInputError, match="out of range"):
        AlignmentConfig(**bad)


def test_a_base_of_few_positions_is_aligned_on_what_it_can_read(encoder_folder, texts, tmp_path):
    """40 positions, and texts of 200 tokens."""
    long = [" ".join([text] * 10) for text in texts[:8]]
    assert aligned_checkpoint(encoder_folder, long, tmp_path / "out", AlignmentConfig(texts=8)).is_dir()


def test_two_bases_of_one_name_are_aligned_each(encoder_folder, texts, tmp_path):
    """A name decides nothing: the copy is kept under a digest of the base's files."""
    bases = [tmp_path / "a" / "base", tmp_path / "b" / "base"]
    for seed, base in enumerate(bases):
        write_bert(base, VOCABULARY, seed=seed, max_position_embeddings=40, add_pooling_layer=False)
    lines = [json.dumps({"query": text[:20], "positive": text}) for text in texts]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    source = JsonlSource(tmp_path / "pairs.jsonl", tmp_path / "cache")

    def start(base, query_base="", **settings):
        config = ModelConfig(
            base=str(base), query_base=str(query_base), query="separate", align=True, preflight=False,
            document_length=20, query_length=20, **settings,
        )  # fmt: skip
        return build_student(config, [source], tmp_path / "cache").student

    both = start(*bases)
    alone = [start(base, base).documents.backbone.decoder_weight for base in bases]
    assert torch.equal(both.documents.backbone.decoder_weight, alone[0])
    assert torch.equal(both.queries.backbone.decoder_weight, alone[1])
    assert not torch.equal(*alone)


def test_a_recipe_of_longer_texts_is_refused_before_anything_is_aligned(encoder_folder, tmp_path):
    config = ModelConfig(base=str(encoder_folder), align=True, document_length=64)
    with pytest.raises(InvalidInputError, match="takes 40 tokens, the recipe asks for 64"):
        build_student(config, [], tmp_path)
    assert not list(tmp_path.iterdir())
