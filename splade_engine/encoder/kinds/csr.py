"""`AutoencoderModel`: dense embeddings as sparse codes, a runner like `MaskedLanguageModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from splade_engine.encoder.backbone import load_pretrained
from splade_engine.encoder.checkpoint import Checkpoint, DensePooling
from splade_engine.encoder.fast.packed import read_tensors
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.place import Place
from splade_engine.encoder.rows import Row, padded, sparse_rows
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError


class AutoencoderModel:
    """CSR (2503.01776): one dense vector per text, its k largest latents, relu.

    z = relu(topk(W (x - b_pre) + b_latent)), as sentence-transformers' SparseAutoEncoder at inference.
    """

    def __init__(self, checkpoint: Checkpoint, place: Place, n_terms: int) -> None:
        assert checkpoint.autoencoder is not None
        self.place = place
        self.workers = torch.get_num_threads() if place.device.type == "cpu" else 1
        self._dense = checkpoint.dense or DensePooling()
        self._body: Any = load_pretrained(checkpoint.model_folder, "AutoModel", place.dtype)
        self._body.to(place.device).eval()
        state = read_tensors(checkpoint.autoencoder)
        config = read_json(checkpoint.autoencoder / "config.json")
        self._normalized = bool(config.get("normalize"))
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
            raise CheckpointError(f"{checkpoint.autoencoder}: no tensor {error.args[0]!r}") from error
        if len(self._weight) != n_terms:
            raise CheckpointError(
                f"{checkpoint.autoencoder}: {len(self._weight)} latents, its config says {n_terms}"
            )

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`; `top_k` replaces the autoencoder's own k."""
        with torch.inference_mode():
            ids, mask = padded(batch, self.place.device)
            hidden = self._body(input_ids=ids, attention_mask=mask).last_hidden_state
            x = _pooled(hidden, mask, self._dense.mode)
            if self._dense.normalize:
                x = F.normalize(x, dim=-1)
            if self._normalized:
                x = x - x.mean(dim=-1, keepdim=True)
                x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
            latents = F.linear(x - self._pre, self._weight, self._latent).float()
            return sparse_rows(latents.relu_(), top_k)


def _pooled(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """One vector per text: dtype[B, L, H] and int64[B, L] (padded on the right) to dtype[B, H]."""
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    if mode == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
    count = mask.sum(1, keepdim=True).to(torch.float32)
    total = (hidden * mask.unsqueeze(-1)).sum(1, dtype=torch.float32)
    return (total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)).to(hidden.dtype)
