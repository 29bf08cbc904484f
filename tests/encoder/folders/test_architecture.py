"""The class that a config names, and the network that it describes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders.config import read_config
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.zoo import edit


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GPT2LMHeadModel", "a class of gpt-sw3, gpt2, and model_type bert: not one model"),
        ("DistilBertForMaskedLM", "a class of distilbert, and model_type bert: not one model"),
        ("T5ForConditionalGeneration", "a class of t5, and model_type bert: not one model"),
        ("BertLMHeadModel", "no token of a causal language model sees what follows it, and bert is"),
        (
            "SomethingForCausalLM",
            "no token of a causal language model sees what follows it, and bert is made",
        ),
    ],
)
def test_a_class_of_another_network_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """A BERT was read as a causal language model."""
    folder = zoo.make("mlm", tmp_path / "m")
    edit(folder / "config.json", architectures=[name])
    with pytest.raises(CheckpointError) as error:
        SparseEncoder.load(folder, device="cpu")
    assert str(error.value).startswith(f"{folder / 'config.json'}: architectures is {name}")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BertForMaskedLM", "bert"),
        ("XLMRobertaForMaskedLM", "xlm-roberta"),
        ("RobertaForMaskedLM", "xlm-roberta"),  # the same network
        ("DebertaV2ForMaskedLM", "deberta-v2"),
        ("Gemma3ForCausalLM", "gemma3_text"),
        ("GPT2LMHeadModel", "gpt2"),
        ("UniCoilEncoder", "bert"),  # of others, whom transformers does not know
        ("SpladeForMaskedLM", "bert"),
        (None, "bert"),
        ("x" * 200_000, "bert"),
    ],
)
def test_classes_that_belong_to_their_network(tmp_path: Path, name: str | None, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [name], "model_type": kind}))
    assert read_config(tmp_path)["model_type"] == kind
