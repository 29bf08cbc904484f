"""config.json: what is wrong is named with its field and value, before a library makes something of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.backbone import load_pretrained
from splade_engine.encoder.folders.config import read_config
from splade_engine.errors import CheckpointError
from tests.encoder import zoo
from tests.encoder.made import VOCABULARY, write_tokenizer
from tests.encoder.zoo import edit


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", None), ("model_type", []), ("model_type", ""), ("hidden_act", None),
        ("hidden_act", []),
        ("hidden_act", False), ("activation", {}), ("hidden_activation", 1), ("layer_norm_eps", True),
        ("layer_norm_eps", "1e-12"), ("layer_norm_eps", None), ("layer_norm_eps", -1),
        ("layer_norm_eps", 1.5),
        ("rms_norm_eps", float("nan")), ("hidden_size", None), ("num_hidden_layers", None),
        ("num_attention_heads", 2.0), ("is_decoder", "false"), ("is_decoder", 0), ("tie_word_embeddings", []),
        ("pad_token_id", "0"), ("max_position_embeddings", True), ("max_position_embeddings", 2),
        ("position_embedding_type", "relative_key"), ("position_embedding_type", []),
        ("architectures", "BertModel"), ("architectures", 5), ("architectures", {}),
        ("quantization_config", {"quant_method": "gptq"}), ("quantization_config", {}),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(tmp_path: Path, field: str, value: object) -> None:
    config = {"model_type": "bert", "hidden_act": "gelu", field: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        read_config(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {field} is {value!r}")


def test_what_configs_in_use_say_is_taken(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "model_type": "gemma", "hidden_act": "gelu_pytorch_tanh", "hidden_activation": None,
        "pad_token_id": -1,
        "rms_norm_eps": 1e-6, "is_decoder": None, "tie_word_embeddings": True, "head_dim": None,
        "max_position_embeddings": 8192,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path) == config
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "position_embedding_type": None}))
    assert read_config(tmp_path)["model_type"] == "bert"


@pytest.mark.parametrize("field", ["is_decoder", "is_causal"])
def test_an_encoder_whose_tokens_do_not_see_what_follows(tmp_path: Path, field: str) -> None:
    folder = zoo.make("mlm", tmp_path / "m")
    edit(folder / "config.json", **{field: True})
    with pytest.raises(
        CheckpointError, match=rf"config.json: {field} is true: no token of this bert would see"
    ):
        SparseEncoder.load(folder, device="cpu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", field: True}))
    assert read_config(tmp_path)[field] is True


def test_an_offset_of_positions_that_nobody_gives(tmp_path: Path) -> None:
    folder = zoo.make("mlm-roberta", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))
    with pytest.raises(CheckpointError, match=r"config.json: pad_token_id is None, not the id of a token"):
        SparseEncoder.load(folder, device="cpu")


@pytest.mark.parametrize("padding", [0, 1, 5])
@pytest.mark.parametrize(
    "name",
    [
        "Camembert", "Data2VecText", "IBert", "Longformer", "Luke", "MPNet", "Roberta", "RobertaPreLayerNorm",
        "XLMRoberta", "XLMRobertaXL", "Xmod",
    ],
)  # fmt: skip
def test_the_longest_text_of_models_that_count_from_the_padding_id(
    tmp_path: Path, name: str, padding: int
) -> None:
    """Without a limit of the tokenizer's, texts are cut where the table of positions ends."""
    import transformers

    more = {"Longformer": {"attention_window": [4]}, "Xmod": {"languages": ["en"], "default_language": "en"}}
    more["Luke"] = {"entity_vocab_size": 9, "entity_emb_size": 8}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=20, pad_token_id=padding, **more.get(name, {}),
    )  # fmt: skip
    getattr(transformers, f"{name}ForMaskedLM")(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    edit(tmp_path / "tokenizer_config.json", model_max_length=None)
    encoder = SparseEncoder.load(tmp_path, device="cpu", dtype="float32")
    assert encoder.max_length == 20 - (2 if name == "MPNet" else 1 + padding)
    assert encoder.encode_documents(["bado " * 50, "bado"]).nnz > 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden_act", "evil", r"config.json: hidden_act is 'evil', not one of .*gelu, .*relu"),
        ("model_type", "evil", r"config.json: model_type is 'evil', which transformers lacks"),
    ],
)
def test_a_name_that_transformers_does_not_know(tmp_path: Path, field: str, value: str, message: str) -> None:
    import torch

    folder = zoo.make("mlm", tmp_path / "m")
    edit(folder / "config.json", **{field: value})
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(folder, "AutoModel", torch.float32)


def test_what_transformers_says_of_a_field_is_told(tmp_path: Path) -> None:
    """It says so in its second line."""
    folder = zoo.make("mlm-electra", tmp_path / "m")
    edit(folder / "config.json", hidden_dropout_prob="two")
    with pytest.raises(CheckpointError, match=r"'hidden_dropout_prob': .*expected (int \| )?float"):
        SparseEncoder.load(folder, device="cpu").encode_documents(["bado"])
