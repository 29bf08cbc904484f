"""DF-FLOPS: FLOPS that weighs each term by its document frequency, counted while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.penalties.flops import Flops

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.penalties import RegularizerConfig
    from splade_engine.training.objective.vectors import Vectors


@dataclass(frozen=True)
class DfFlopsFields:
    """DF-FLOPS in `[regularizer]`."""

    # DF-FLOPS: the share of documents at which a term's factor is 1/2.
    df_half: float = 0.1
    # DF-FLOPS: how sharply the factor rises there.
    df_steepness: float = 10.0
    # DF-FLOPS: steps after which document frequencies are counted anew.
    df_refresh: int = bounded(100, low=1)


class DfFlops(Flops):
    """`regularizers.flops` with `regularizers.df_factors`; plain FLOPS until frequencies have been counted.

    Frequencies are those of documents: they are counted where `regularizer.document` is this kind, and hold
    for the query side too.
    """

    name = "df_flops"

    def __init__(self) -> None:
        self._counts: Tensor | None = None  # int64[V] documents with the term since the last count
        self._documents = 0
        self._share: Tensor | None = None  # float[V] of the last count

    def factors(self, config: RegularizerConfig) -> Tensor | None:
        """See `Flops`."""
        from splade_engine.training.objective import regularizers

        if self._share is None:
            return None
        return regularizers.df_factors(self._share, config.df_half, config.df_steepness)

    def observe(self, vectors: Vectors) -> None:
        """See `Penalty`."""
        active = vectors.documents.detach()[vectors.valid] > 0
        counts = active.sum(0)
        self._counts = counts if self._counts is None else self._counts + counts
        self._documents += len(active)

    def after_step(self, step: int, config: RegularizerConfig) -> None:
        """See `Penalty`."""
        if self._counts is not None and self._documents and step % config.df_refresh == 0:
            self._share = (self._counts / self._documents).float()
            self._counts, self._documents = None, 0

    def state(self) -> dict[str, Tensor]:
        """See `Penalty`."""
        import torch

        out = {"df_documents": torch.tensor(self._documents)}
        if self._counts is not None:
            out["df_counts"] = self._counts.cpu()
        if self._share is not None:
            out["df_share"] = self._share.cpu()
        return out

    def load_state(self, state: Mapping[str, Tensor], device: str) -> None:
        """See `Penalty`."""
        self._documents = int(state["df_documents"])
        self._counts = state["df_counts"].to(device) if "df_counts" in state else None
        self._share = state["df_share"].to(device) if "df_share" in state else None
