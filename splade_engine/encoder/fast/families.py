"""The architectures that `packed.py` computes: where each keeps its weights, and what its config says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from splade_engine.encoder.folders.weights import is_of_a_layer


@dataclass(frozen=True)
class Names:
    """Where an architecture keeps its weights; `{i}` is the layer."""

    prefix: str
    query: str
    key: str
    value: str
    attention_out: str
    attention_norm: str
    up: str
    down: str
    output_norm: str
    head_dense: str
    head_norm: str
    decoder_bias: str

    def body(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The body's tensors under their own names; a file without a head has them without the prefix."""
        body = {k.removeprefix(self.prefix): v for k, v in state.items() if k.startswith(self.prefix)}
        return body or state

    @property
    def decoder(self) -> str:
        """The module that a file holds only if its decoder is not tied to the embeddings."""
        return "vocab_projector" if self is DISTIL else self.decoder_bias.replace(".bias", ".decoder")

    def unknown(self, state: Mapping[str, Tensor]) -> list[str]:
        """The tensors of a model with a head, outside of its layers, that no step reads."""
        embeddings = self.prefix + "embeddings."
        modules = (embeddings + "LayerNorm", self.head_dense, self.head_norm, self.decoder)
        known = {module + leaf for module in modules for leaf in (".weight", ".bias")} | {self.decoder_bias}
        known |= {f"{embeddings}{table}_embeddings.weight" for table in ("word", "position", "token_type")}
        return [name for name in state if name not in known and not is_of_a_layer(name)]


BERT = Names(
    prefix="bert.",
    query="encoder.layer.{i}.attention.self.query",
    key="encoder.layer.{i}.attention.self.key",
    value="encoder.layer.{i}.attention.self.value",
    attention_out="encoder.layer.{i}.attention.output.dense",
    attention_norm="encoder.layer.{i}.attention.output.LayerNorm",
    up="encoder.layer.{i}.intermediate.dense",
    down="encoder.layer.{i}.output.dense",
    output_norm="encoder.layer.{i}.output.LayerNorm",
    head_dense="cls.predictions.transform.dense",
    head_norm="cls.predictions.transform.LayerNorm",
    decoder_bias="cls.predictions.bias",
)
ROBERTA = replace(
    BERT,
    prefix="roberta.",
    head_dense="lm_head.dense",
    head_norm="lm_head.layer_norm",
    decoder_bias="lm_head.bias",
)
DISTIL = Names(
    prefix="distilbert.",
    query="transformer.layer.{i}.attention.q_lin",
    key="transformer.layer.{i}.attention.k_lin",
    value="transformer.layer.{i}.attention.v_lin",
    attention_out="transformer.layer.{i}.attention.out_lin",
    attention_norm="transformer.layer.{i}.sa_layer_norm",
    up="transformer.layer.{i}.ffn.lin1",
    down="transformer.layer.{i}.ffn.lin2",
    output_norm="transformer.layer.{i}.output_layer_norm",
    head_dense="vocab_transform",
    head_norm="vocab_layer_norm",
    decoder_bias="vocab_projector.bias",
)
FAMILIES = {
    "bert": BERT,
    "distilbert": DISTIL,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
}
_ACTIVATIONS = {"gelu": ("gelu", "none"), "gelu_new": ("gelu", "tanh"), "gelu_pytorch_tanh": ("gelu", "tanh"),
                "relu": ("relu", "")}  # fmt: skip


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether a model with this config.json is of one of the families, as they were published."""
    return (
        str(config.get("model_type")) in FAMILIES
        and config.get("position_embedding_type", "absolute") == "absolute"
        and _activation_name(config) in _ACTIVATIONS
    )


def activation_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """The activation of the feed-forward layers, as oneDNN names it."""
    return _ACTIVATIONS[_activation_name(config)]


def _activation_name(config: Mapping[str, Any]) -> str:
    return str(config.get("activation" if config["model_type"] == "distilbert" else "hidden_act", "gelu"))
