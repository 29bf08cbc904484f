"""A sparse encoder as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class SparseTeacher:
    """Dot product of a sparse encoder's vectors.

    Args:
        source: anything that `SparseEncoder.load` takes.
        device: where it runs.
    """

    def __init__(self, source: str | Path | None, *, device: str | torch.device = "cpu") -> None:
        from splade_engine.encoder import SparseEncoder

        self.encoder = SparseEncoder.load(source, device=str(device))

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[n, m] scores."""
        q = self.encoder.encode_queries(list(queries)).to_scipy()
        d = self.encoder.encode_documents(list(documents)).to_scipy()
        return torch.from_numpy(np.asarray((q @ d.T).toarray(), dtype=np.float32))
