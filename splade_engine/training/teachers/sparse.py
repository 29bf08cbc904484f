"""A sparse encoder as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SparseTeacher:
    """Dot product of a sparse encoder's vectors.

    Args:
        source: anything that `SparseEncoder.load` takes.
        device: where it runs.
    """

    def __init__(self, source: str | Path | None, *, device: str | torch.device = "cpu") -> None:
        from splade_engine.encoder import SparseEncoder

        self.encoder = SparseEncoder.load(source, device=str(device))
        self._last: tuple[list[str], csr_array] | None = None

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[n, m] scores."""
        q = self.encoder.encode_queries(list(queries)).to_scipy()
        scores = (q @ self._documents(documents).T).toarray()
        return torch.from_numpy(np.asarray(scores, dtype=np.float32))

    def _documents(self, texts: Sequence[str]) -> csr_array:
        """Their vectors, kept until other texts come: a batch's own scores and `QueryBank` both ask."""
        if self._last is None or self._last[0] != list(texts):
            self._last = (list(texts), self.encoder.encode_documents(list(texts)).to_scipy())
        return self._last[1]
