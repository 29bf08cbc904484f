"""`BgeM3`: the sparse head of BGE-M3, one weight per input token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.files import present
from splade_engine.encoder.folders.safetensors_file import read_floats
from splade_engine.encoder.folders.torch_file import read_torch_file
from splade_engine.encoder.kind import Kind, Module
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.folders.plain import PlainFolder
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

# a conversion is preferred to the pickle that is published
_HEADS = ("sparse_linear.safetensors", "sparse_linear.pt")


@dataclass(frozen=True)
class BgeM3(Kind):
    """BGE-M3 (2402.03216, section 3.2): w_t = max over the positions of t of relu(w . h_i + b).

    h are the last states of XLM-RoBERTa; special tokens are dropped, documents and queries are encoded alike.
    The folder may hold the modules of the dense side too: they are not read.
    """

    name = "bge-m3"
    auto_model = "AutoModel"

    # sparse_linear.pt as published, or a conversion to safetensors
    head: Path

    @classmethod
    def recognise(cls, found: PlainFolder) -> Checkpoint | None:
        """A `sparse_linear` beside the model."""
        head = _head_of(found.folder)
        if head is None:
            return None
        return found.checkpoint(cls(head), activation="relu", special_tokens="zero")

    @classmethod
    def from_modules(cls, base: Checkpoint, modules: Sequence[Module]) -> Checkpoint | None:
        """The published folder says in modules.json how its dense side pools."""
        head = _head_of(base.model_folder)
        if head is None or {m.kind for m in modules} - {"Pooling", "Normalize"}:
            return None
        settings = replace(base.settings, activation="relu", special_tokens="zero")
        return replace(base, kind=cls(head), settings=settings)

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> BgeM3:
        """See `Kind`."""
        head = _head_of(folder)
        if head is None:
            raise CheckpointError(f"neither {' nor '.join(_HEADS)} beside it")
        return cls(head)

    def phrase_terms(self) -> tuple[str, ...]:
        """See `Kind`."""
        return ("pairs",)

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """See `Kind`."""
        return _Runner(self.head, checkpoint, place, n_terms, special_ids)

    def write_files(self, checkpoint: Checkpoint, out: Path) -> None:
        """See `Kind`; the head as safetensors."""
        from safetensors.numpy import save_file

        super().write_files(checkpoint, out)
        weight, bias = read_head(self.head)
        save_file({"weight": weight[None], "bias": bias}, out / _HEADS[0], metadata={"format": "pt"})


def _head_of(folder: Path) -> Path | None:
    return next((folder / name for name in _HEADS if present(folder / name)), None)


def read_head(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight float32[H] and bias float32[1] of the linear layer.

    Raises:
        CheckpointError: if the file holds anything else.
    """
    stored = read_torch_file(path) if path.suffix == ".pt" else read_floats(path)
    tensors = {name.rpartition(".")[2]: array.astype(np.float32) for name, array in stored.items()}
    weight, bias = tensors.pop("weight", None), tensors.pop("bias", None)
    if weight is None or bias is None or tensors or weight.shape != (1, weight.size) or bias.shape != (1,):
        shapes = {name: array.shape for name, array in stored.items()}
        raise CheckpointError(f"{path}: expected weight [1, H] and bias [1], found {shapes!s:.120}")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise CheckpointError(f"{path}: holds a value that is not finite")
    return weight[0], bias


class _Runner:
    """The body, the linear layer, the maximum over equal token ids."""

    def __init__(
        self, head: Path, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids
    ) -> None:
        import torch

        from splade_engine.encoder.fast.states import load_hidden
        from splade_engine.encoder.place import threads

        self.workers = threads(place)
        self._n_terms, self._special = n_terms, special_ids.astype(np.int64)
        self._hidden = load_hidden(checkpoint.model_folder, place)
        weight, bias = (torch.from_numpy(a).to(place.device) for a in read_head(head))
        if len(weight) != self._hidden.width:
            raise CheckpointError(f"{head}: a weight of {len(weight)} for states of {self._hidden.width}")
        self._weight, self._bias = weight, bias

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        import torch

        from splade_engine.encoder.rows import sparse_rows

        with torch.inference_mode():
            weights = torch.relu(self._hidden(batch).float() @ self._weight + self._bias).cpu()
            out = torch.zeros((len(batch), self._n_terms))
            start = 0
            for row, ids in enumerate(batch):
                terms = torch.from_numpy(ids.astype(np.int64))
                out[row].scatter_reduce_(0, terms, weights[start : start + len(ids)], reduce="amax")
                start += len(ids)
            out[:, torch.from_numpy(self._special)] = 0
            return sparse_rows(out, top_k)
