"""Settings of sentence_bert_config.json that change what the model sees: followed, told or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.made import WORDS

NAME = "sentence_bert_config.json"
TEXT = {"method": "forward", "method_output_name": "logits"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"tokenizer_args": {"truncation_side": "left"}}, "tokenizer_args sets 'truncation_side' to 'left'"),
        ({"tokenizer_kwargs": {"do_lower_case": False}}, "tokenizer_kwargs sets 'do_lower_case' to False"),
        ({"processor_kwargs": {"model_max_length": 9}}, "processor_kwargs sets 'model_max_length' to 9"),
        ({"processor_kwargs": 5}, "processor_kwargs is 5, not a JSON object"),
        ({"processing_kwargs": {"text": {"max_length": 8}}}, "processing_kwargs sets 'max_length'"),
        ({"processing_kwargs": {"common": {"add_special_tokens": False}}}, "processing_kwargs sets 'add_spe"),
        ({"processing_kwargs": {"text": {"truncation": False}}}, "processing_kwargs sets 'truncation'"),
        ({"processing_kwargs": {"text": []}}, r"text is \[\], not a JSON object"),
        ({"query_expansion": {"strategy": "fixed", "length": 12}}, "query_expansion: not supported"),
        (
            {"transformer_task": "feature-extraction"},
            "transformer_task is .*, and its modules need fill-mask",
        ),
        (
            {"config_args": {"num_hidden_layers": 1}},
            "config_args sets 'num_hidden_layers' to 1, and config.json",
        ),
        ({"config_kwargs": {"hidden_act": "relu"}}, "config_kwargs sets 'hidden_act' to 'relu'"),
        ({"model_args": {"variant": "fp16"}}, "model_args sets 'variant' to 'fp16', and config.json"),
        ({"model_kwargs": {"subfolder": "a"}}, "model_kwargs sets 'subfolder' to 'a'"),
        ({"tokenizer_name_or_path": "bert-base-cased"}, "tokenizer_name_or_path: not supported"),
        (
            {"modality_config": {"text": {**TEXT, "method_output_name": "hidden_states"}}},
            "modality_config is",
        ),
        ({"modality_config": {"text": TEXT, "message": TEXT}}, "modality_config is .*: only .* of text"),
        ({"modality_config": {"image": TEXT}}, "modality_config is .*: only .* of text is supported"),
        ({"modality_config": {"text": TEXT}, "module_output_name": "x"}, "module_output_name is 'x'"),
        ({"max_seq_length": "32"}, "max_seq_length is '32', not a number of tokens"),
        ({"max_seq_length": 0}, "max_seq_length is 0, not a number of tokens"),
        ({"max_seq_length": 12.7}, "max_seq_length is 12.7, not a number of tokens"),
        ({"document_length": True}, "document_length is True, not a number of tokens"),
    ],
)
def test_what_would_change_vectors_is_refused(tmp_path: Path, said: dict[str, Any], told: str) -> None:
    """Each was passed over without a word, and sentence-transformers made other vectors."""
    folder = zoo.make("st-mlm", tmp_path / "m")
    zoo.edit(folder / NAME, **said)
    with pytest.raises(CheckpointError, match=told) as error:
        read_checkpoint(folder)
    assert str(error.value).startswith(f"{folder / NAME}: ")


@pytest.mark.parametrize(
    "said",
    [
        {"tokenizer_args": {"use_fast": True}, "processor_kwargs": {"padding_side": "left"}},
        {"tokenizer_args": {"truncation_side": "right"}},
        {"processing_kwargs": {"text": {"padding": "longest", "truncation": True}, "image": {"size": 5}}},
        {"transformer_task": "fill-mask", "unpad_inputs": True, "query_length": 32},
        {
            "model_args": {"dtype": "float16", "attn_implementation": "eager"},
            "config_args": {"use_cache": False},
        },
        {"config_args": {"num_hidden_layers": 2}},
        {"modality_config": {"text": TEXT}, "module_output_name": "token_embeddings"},
        {"max_seq_length": None},
        {"max_seq_length": 32.0},
        {"max_seq_length": 1e30},
    ],
)
def test_what_changes_nothing_is_taken(
    tmp_path: Path, said: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder = zoo.make("st-mlm", tmp_path / "m")
    zoo.edit(folder / "tokenizer_config.json", truncation_side="right")
    zoo.edit(folder / NAME, **said)
    assert read_checkpoint(folder).settings.max_length == (
        32 if said.get("max_seq_length", 0) in (0, 32) else 48
    )
    assert not caplog.records


@pytest.mark.parametrize(
    ("said", "limit", "queries"),
    [
        ({"query_length": 6}, 32, 6),
        ({"document_length": 6}, 6, 32),
        ({"document_length": 6, "query_length": 9}, 6, 9),
    ],
)
def test_a_limit_of_queries_is_followed(
    tmp_path: Path, said: dict[str, int], limit: int, queries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It was told of and passed over: queries were cut where documents are."""
    folder = zoo.make("st-mlm", tmp_path / "m")
    zoo.edit(folder / NAME, **said)
    zoo.edit(folder / "config_sentence_transformers.json", prompts=None)
    settings = read_checkpoint(folder).settings
    assert (settings.max_length, settings.length_of_queries) == (limit, queries)
    assert not caplog.records
    text = " ".join(WORDS[:40])
    encoder = SparseEncoder.load(folder, device="cpu", dtype="float32")
    tokens = " ".join(WORDS[: queries - 2])  # beside [CLS] and [SEP]
    cut = SparseEncoder.load(folder, device="cpu", dtype="float32", max_length=40)
    assert encoder.encode_queries([text]).to_dicts() == cut.encode_queries([tokens]).to_dicts()
    assert encoder.encode_queries([text]).to_dicts() != encoder.encode_documents([text]).to_dicts()


def test_a_limit_of_queries_in_the_folder_of_their_own_model(tmp_path: Path) -> None:
    folder = zoo.make("st-pair", tmp_path / "m")
    for side in ("query", "document"):
        zoo.write(
            folder / f"{side}_0_MLMTransformer" / NAME,
            {"max_seq_length": 30, "query_length": 9, "document_length": 20},
        )
    found = read_checkpoint(folder)
    assert isinstance(found.query, Checkpoint)
    assert (found.settings.length_of_queries, found.settings.max_length) == (20, 20)
    assert found.query.settings.max_length == found.query.settings.length_of_queries == 9


@pytest.mark.parametrize("value", ["9", 0, 9.5, True])
def test_a_limit_of_queries_that_is_none(tmp_path: Path, value: object) -> None:
    folder = zoo.make("st-mlm", tmp_path / "m")
    zoo.edit(folder / NAME, query_length=value)
    with pytest.raises(CheckpointError, match=f"{NAME}: query_length is .*, not a number of tokens"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_older_names_of_the_file(tmp_path: Path, name: str) -> None:
    """sentence-transformers takes the first that says anything."""
    folder = zoo.make("st-mlm", tmp_path / "m")
    older = folder / f"sentence_{name}_config.json"
    (folder / NAME).rename(older)
    zoo.edit(older, max_seq_length=9, do_lower_case=True)
    (folder / NAME).write_text("{}")
    settings = read_checkpoint(folder).settings
    assert (settings.max_length, settings.lowercase) == (9, True)
    zoo.edit(older, tokenizer_args={"truncation_side": "left"})
    with pytest.raises(CheckpointError, match=f"{older.name}: tokenizer_args sets 'truncation_side'"):
        read_checkpoint(folder)


def test_a_pooling_without_its_prompt_is_refused(tmp_path: Path) -> None:
    folder = zoo.make("st-csr", tmp_path / "m")
    pooling = folder / "1_Pooling" / "config.json"
    zoo.edit(pooling, include_prompt=False)
    assert read_checkpoint(folder).settings.query_prompt == ""
    zoo.write(folder / "config_sentence_transformers.json", {"prompts": {"query": "bado ", "document": ""}})
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(folder)
    assert str(error.value) == f"{pooling}: include_prompt is not true, and there are prompts: not supported"
