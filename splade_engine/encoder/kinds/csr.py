"""`Csr`: a dense embedding through a k-sparse autoencoder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.files import existing, read_json
from splade_engine.encoder.folders.modules import dense_mode
from splade_engine.encoder.kind import Kind, Module, size_of
from splade_engine.encoder.settings import DensePooling, is_integer
from splade_engine.errors import CheckpointError
from splade_engine.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.encoder.place import Place
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

AUTOENCODER_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class Csr(Kind):
    """CSR (2503.01776): one dense vector per text, its k largest latents, relu."""

    name = "csr"
    auto_model = "AutoModel"
    st_task = "feature-extraction"

    # folder of the autoencoder
    autoencoder: Path
    pooling: DensePooling = field(default_factory=DensePooling)

    @classmethod
    def from_modules(cls, base: Checkpoint, modules: Sequence[Module]) -> Checkpoint | None:
        """`Pooling`, [`Normalize`], `SparseAutoEncoder` after the transformer."""
        kinds = [m.kind for m in modules]
        if kinds[:1] != ["Pooling"] or kinds[-1] != "SparseAutoEncoder" or set(kinds[1:-1]) - {"Normalize"}:
            return None
        folder = modules[-1].folder
        for name in AUTOENCODER_FILES:
            existing(folder / name)
        k = read_json(folder / "config.json").get("k", 8)
        if not is_integer(k):
            raise CheckpointError(f"{folder / 'config.json'}: k is {k!r:.80}, not a number of latents")
        pooling = DensePooling(dense_mode(modules[0].folder), normalize="Normalize" in kinds)
        settings = replace(base.settings, activation="relu", top_k=k)
        return replace(base, kind=cls(folder, pooling), settings=settings)

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> Csr:
        """Refused: this kind is stored in the sentence-transformers layout alone."""
        raise CheckpointError("kind csr needs a sentence-transformers folder with a SparseAutoEncoder")

    def n_terms(self, model_folder: Path) -> int:
        """See `Kind`."""
        return size_of(self.autoencoder / "config.json", "hidden_dim")

    def term_names(self, n_terms: int) -> list[str] | None:
        """Latent dimensions have no words."""
        return [f"[latent-{i}]" for i in range(n_terms)]

    def module_names(self) -> list[str]:
        """See `Kind`."""
        return ["Pooling", *(["Normalize"] if self.pooling.normalize else []), "SparseAutoEncoder"]

    def write_modules(self, checkpoint: Checkpoint, folders: Mapping[str, Path]) -> None:
        """See `Kind`."""
        width = size_of(self.autoencoder / "config.json", "input_dim")
        write_pooling(folders["Pooling"], self.pooling, width)
        for file in AUTOENCODER_FILES:
            shutil.copyfile(self.autoencoder / file, folders["SparseAutoEncoder"] / file)

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """See `Kind`."""
        return _Runner(self, checkpoint.model_folder, place, n_terms)


def write_pooling(folder: Path, pooling: DensePooling, width: int) -> None:
    """The settings of a `Pooling` module."""
    settings = {"embedding_dimension": width, "pooling_mode": pooling.mode, "include_prompt": True}
    write_json(folder / "config.json", settings)


def write_autoencoder(
    folder: Path,
    *,
    weight: Tensor,
    pre_bias: Tensor,
    latent_bias: Tensor,
    since_fired: Tensor,
    settings: Mapping[str, int],
) -> None:
    """Write the `SparseAutoEncoder` module of a trained autoencoder with tied weights.

    Args:
        folder: of the module.
        weight: float[V, D].
        pre_bias: float[D].
        latent_bias: float[V].
        since_fired: int64[V], batches since each latent fired.
        settings: `k`, `k_aux`, `dead_threshold`.
    """
    from safetensors.torch import save_file

    latents, width = weight.shape
    config = {"input_dim": width, "hidden_dim": latents, "normalize": False, **settings}
    write_json(folder / "config.json", config)
    state = {
        "decoder.linear.weight": weight,  # tied: safetensors keeps one of the two names
        "pre_bias": pre_bias,
        "latent_bias": latent_bias,
        "stats_last_nonzero": since_fired,
    }
    tensors = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    names = {"encoder.weight": "decoder.linear.weight"}
    save_file(tensors, folder / "model.safetensors", metadata=names)


class _Runner:
    """z = relu(topk(W (x - b_pre) + b_latent)), as sentence-transformers' SparseAutoEncoder at inference."""

    def __init__(self, kind: Csr, model_folder: Path, place: Place, n_terms: int) -> None:
        from splade_engine.encoder.backbone import load_pretrained
        from splade_engine.encoder.fast.states import padded_body
        from splade_engine.encoder.folders.weights import read_tensors
        from splade_engine.encoder.place import threads

        self.place = place
        self.workers = threads(place)
        self._dense = kind.pooling
        body: Any = load_pretrained(model_folder, "AutoModel", place.dtype)
        self._body = padded_body(body.to(place.device).eval(), place, model_folder)
        state = read_tensors(kind.autoencoder)
        self._normalized = bool(read_json(kind.autoencoder / "config.json").get("normalize"))
        if (
            "encoder.weight" not in state and "decoder.linear.weight" in state
        ):  # tied: either name may be stored
            state["encoder.weight"] = state["decoder.linear.weight"]
        try:
            names = ("encoder.weight", "pre_bias", "latent_bias")
            self._weight, self._pre, self._latent = (
                state[n].to(device=place.device, dtype=place.dtype) for n in names
            )
        except KeyError as error:
            raise CheckpointError(f"{kind.autoencoder}: no tensor {error.args[0]!r}") from error
        if len(self._weight) != n_terms:
            raise CheckpointError(
                f"{kind.autoencoder}: {len(self._weight)} latents, its config says {n_terms}"
            )

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`; `top_k` replaces the autoencoder's own k."""
        import torch
        import torch.nn.functional as F

        from splade_engine.encoder.fast.pooling import pooled
        from splade_engine.encoder.rows import sparse_rows

        with torch.inference_mode():
            hidden, mask = self._body(batch)
            x = pooled(hidden, mask, self._dense.mode)
            if self._dense.normalize:
                x = F.normalize(x, dim=-1)
            if self._normalized:
                x = x - x.mean(dim=-1, keepdim=True)
                x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
            latents = F.linear(x - self._pre, self._weight, self._latent).float()
            return sparse_rows(latents.relu_(), top_k)
