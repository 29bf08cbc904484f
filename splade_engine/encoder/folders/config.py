"""config.json of a language model: read with its fields checked, so that what is wrong is named. Torch-free.

Libraries take what they happen to get: `true` for an epsilon is 1.0, `[]` for an activation is the default.
Only fields that decide vectors are looked at; sizes are compared with the weights in `checking.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.architecture import check_architectures
from splade_engine.encoder.folders.files import positions_of, read_json
from splade_engine.encoder.settings import blaming, is_integer, is_number
from splade_engine.errors import CheckpointError

CONFIG = "config.json"
ACTIVATIONS = ("hidden_act", "activation", "hidden_activation")
_LARGEST_EPSILON = 1.0  # real ones are 1e-12 to 1e-5
# of whose positions transformers knows the absolute ones alone: it would pass over the weights of others
_ABSOLUTE = {"bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra"}
# whose tokens see the whole text; transformers masks what follows a token where the config asks for it
_ENCODERS = _ABSOLUTE | {"albert", "deberta", "deberta-v2", "modernbert", "mpnet", "nomic_bert"}

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _epsilon(value: Any) -> bool:
    return is_number(value) and 0 <= value <= _LARGEST_EPSILON


def _truth(value: Any) -> bool:
    return value is None or isinstance(value, bool)


_CHECKS: dict[str, tuple[Check, str]] = {
    "architectures": (lambda v: v is None or isinstance(v, list), "a list of names of classes"),
    "model_type": (_text, "the name of an architecture"),
    "hidden_act": (_text, "the name of an activation"),
    "activation": (_text, "the name of an activation"),
    "hidden_activation": (lambda v: v is None or _text(v), "the name of an activation"),
    "pad_token_id": (lambda v: v is None or is_integer(v), "the id of a token"),
    "quantization_config": (lambda v: v is None, "null: weights that were quantised are not read"),
    "hidden_size": (is_integer, "a whole number"),
    "num_hidden_layers": (is_integer, "a whole number"),
    "num_attention_heads": (is_integer, "a whole number"),
    **{
        name: (_epsilon, f"a number from 0 to {_LARGEST_EPSILON:g}")
        for name in ("layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps")
    },
    **{
        name: (_truth, "true or false")
        for name in (
            "is_decoder",
            "is_causal",
            "is_encoder_decoder",
            "add_cross_attention",
            "tie_word_embeddings",
        )
    },
}


def read_config(folder: Path, *, optional: bool = False) -> dict[str, Any]:
    """The config of the model in a folder; an empty one if it is optional and absent.

    Raises:
        CheckpointError: naming the file, the field and its value.
    """
    path = folder / CONFIG
    config = read_json(path, optional=optional)
    for name, (fits, wanted) in _CHECKS.items():
        if name in config and not fits(config[name]):
            raise CheckpointError(f"{path}: {name} is {config[name]!r:.80}, not {wanted}")
    with blaming(path):
        _check_positions(config)
        _check_sight(config)
        check_architectures(config, _ENCODERS)
    return config


def _check_positions(config: Mapping[str, Any]) -> None:
    positions_of(config)
    kind = config.get("position_embedding_type")
    if config.get("model_type") in _ABSOLUTE and kind not in (None, "absolute"):
        raise CheckpointError(
            f"position_embedding_type is {kind!r:.80}: only absolute positions can be computed"
        )


def _check_sight(config: Mapping[str, Any]) -> None:
    for name in ("is_decoder", "is_causal"):
        if config.get(name) and config.get("model_type") in _ENCODERS:
            raise CheckpointError(
                f"{name} is true: no token of this {config['model_type']} would see what follows it, and an "
                "encoder is made of tokens that do"
            )
