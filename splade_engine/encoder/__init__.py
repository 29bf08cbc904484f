"""Text to sparse term vectors: checkpoints, tokenisation, batching, pooling, the query side."""

from __future__ import annotations

from splade_engine.encoder.encoder import SparseEncoder

__all__ = ["SparseEncoder"]
