"""The tensors of a model folder, in any layout: read from safetensors alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint


def read_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The model's tensors; those of a compact folder widened to float32.

    Raises:
        CheckpointError: if a file cannot be read.
    """
    if checkpoint.quantized:
        from splade_engine.encoder.folders.compact import read_state

        return read_state(checkpoint.model_folder)
    return read_tensors(checkpoint.model_folder)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's model*.safetensors; `gamma` and `beta` get their present names."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        state.update(load_file(file))
    return {
        k.replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias"): v for k, v in state.items()
    }
