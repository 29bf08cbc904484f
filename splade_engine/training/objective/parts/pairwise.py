"""Pairwise negative log-likelihood over a query's own negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart, Need

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch


@dataclass(frozen=True)
class PairwiseFields:
    """The pairwise loss in `[loss]`."""

    # Weight of the pairwise negative log-likelihood over a query's own negatives.
    pairwise: float = bounded(0.0, low=0)


class Pairwise(LossPart):
    """`losses.pairwise`."""

    name = "pairwise"

    def weight(self, config: PairwiseFields) -> float:
        """See `LossPart`."""
        return config.pairwise

    def needs(self, config: PairwiseFields) -> frozenset[Need]:
        """See `LossPart`."""
        return frozenset({"own_documents"})

    def compute(self, batch: Batch, config: PairwiseFields) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        valid = batch.vectors.valid
        if not valid[:, 1:].any():
            return batch.scores.sum() * 0  # the mean of nothing would be NaN
        return losses.pairwise(batch.own, valid)
