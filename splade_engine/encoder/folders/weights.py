"""The tensors of a model folder, in any layout: read from safetensors alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splade_engine.encoder.folders.safetensors_file import read_header, weight_files
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h)\.\d+\.")
_BUFFERS = ("inv_freq", "position_ids", "token_type_ids", "masked_bias", "attn.bias", "attention.bias")
_OF_TRAINING = re.compile(r"(?:^|\.)(?:pooler|seq_relationship)\.")
_TOLD = 3  # names of weights in one message


def read_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The model's tensors; those of a compact folder widened to float32.

    Raises:
        CheckpointError: if a file cannot be read, or holds a number that is not finite.
    """
    if checkpoint.quantized:
        from splade_engine.encoder.folders.compact import read_state

        return read_state(checkpoint.model_folder, base=checkpoint.base)
    return read_tensors(checkpoint.model_folder)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's model*.safetensors; `gamma` and `beta` get their present names.

    Raises:
        CheckpointError: a file cannot be read, a number is not finite, or a tensor is there under both names.
    """
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in weight_files(folder):
        read_header(file)  # its line says what is wrong with a file
        state.update(load_file(file))
    check_finite(state, folder)
    named: dict[str, Tensor] = {}
    for old, tensor in state.items():
        name = old.replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias")
        if name in named or (name != old and name in state):
            raise CheckpointError(f"{folder}: {name:.120} is there twice, once as gamma or beta")
        named[name] = tensor
    return named


def is_of_a_layer(name: str) -> bool:
    """Whether a tensor is a weight of a layer: one that a model has no place for would be left out silently.

    Buffers, which libraries compute themselves and some files hold, are none.
    """
    return _LAYER.search(name) is not None and not name.endswith(_BUFFERS)


def tell_of_unused(names: Iterable[str], folder: Path) -> None:
    """Log the weights outside of layers that a model has no place for; they are left out, as in transformers.

    What training alone needs is expected: BERT's pooler, and its head that tells whether a sentence follows.
    """
    left = sorted(name for name in names if not name.endswith(_BUFFERS) and not _OF_TRAINING.search(name))
    if left:
        more = f" and {len(left) - _TOLD} more" if len(left) > _TOLD else ""
        told = ", ".join(f"{name:.120}" for name in left[:_TOLD])
        logger.warning("%s: the model has no place for the weights %s%s: left out", folder, told, more)


def bias_of_head(name: str) -> str | None:
    """The bias that release 4 of transformers writes for `X.decoder.bias`, one for both; None: for itself."""
    return name.removesuffix("decoder.bias") + "bias" if name.endswith(".decoder.bias") else None


def check_finite(state: Mapping[str, Tensor], where: Path) -> None:
    """Refuse weights that are not finite: they would make empty vectors, or one word would.

    Raises:
        CheckpointError: naming the tensor.
    """
    for name, tensor in state.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # as they are computed: a number beyond float32 is infinite there
        numbers = tensor.float() if tensor.dtype.itemsize in (1, 8) else tensor
        low, high = torch.aminmax(numbers)  # NaN wins in both
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            raise CheckpointError(f"{where}: {name:.120} holds a value that is not finite")
