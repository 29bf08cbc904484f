"""A charge that is infinite at all-zero vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.penalties.penalty import Context, Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AntiCollapseFields:
    """The anti-collapse term in `[regularizer]`."""

    # Weight of a penalty that is infinite at all-zero vectors. It has its whole weight from the first step.
    anti_collapse: float = bounded(0.0, low=0)


class AntiCollapse(Regularizer):
    """`regularizers.anti_collapse`."""

    name = "collapse"
    ramped = False

    def weight(self, config: AntiCollapseFields) -> float:
        """See `Regularizer`."""
        return config.anti_collapse

    def compute(self, batch: Context) -> Tensor:
        """See `Regularizer`."""
        from splade_engine.training.objective import regularizers

        vectors = batch.vectors
        queries = vectors.queries if vectors.learned_queries else None
        return regularizers.anti_collapse(queries, batch.documents())
