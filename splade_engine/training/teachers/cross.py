"""A cross-encoder as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from splade_engine.encoder.cross import load_cross


class CrossTeacher:
    """Scores of a cross-encoder, as its last layer gives them (SPLADE++'s teacher, arXiv 2205.04733).

    Args:
        source: what `load_cross` takes.
        device: where it runs.
    """

    def __init__(self, source: str | Path, *, device: str | torch.device = "cpu") -> None:
        self._encoder = load_cross(source, device=str(device), raw=True)

    def pairs(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[m] of m queries, each with the document in its place."""
        return torch.from_numpy(self._encoder.score(queries, documents))

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[n, m]: n times m runs of the model."""
        every = [(query, document) for query in queries for document in documents]
        scores = self.pairs([query for query, _ in every], [document for _, document in every])
        return scores.view(len(queries), len(documents))
