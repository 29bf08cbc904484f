"""A dense encoder as a teacher: cosine of its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from splade_engine.encoder.dense import load_dense


class DenseTeacher:
    """Cosine similarity of a dense encoder's embeddings.

    Args:
        source: what `load_dense` takes.
        device: where it runs; in bfloat16 where the device computes it natively. On a CPU a BERT-like model
            runs packed: queries of ten tokens embed four times as fast as through transformers.
        max_length: tokens per text.
    """

    def __init__(
        self, source: str | Path, *, device: str | torch.device = "cpu", max_length: int = 256
    ) -> None:
        self.device = torch.device(device)
        self._encoder = load_dense(source, device=str(device), max_length=max_length)
        self._last: tuple[list[str], Tensor] | None = None

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[n, m] scores."""
        return (self.embed(queries, query=True) @ self.embed_documents(documents).T).cpu()

    def embed_documents(self, texts: Sequence[str]) -> Tensor:
        """`embed`, kept until other texts come: a batch's own scores and `QueryBank` both ask."""
        if self._last is None or self._last[0] != list(texts):
            self._last = (list(texts), self.embed(texts))
        return self._last[1]

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Tensor:
        """float32[n, H] of unit length, on the teacher's device; `query` matters to a model with prompts."""
        return torch.from_numpy(self._encoder.encode(texts, query=query)).to(self.device)
