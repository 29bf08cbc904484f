"""MarginMSE to a teacher's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart, Need

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch


@dataclass(frozen=True)
class MarginMseFields:
    """MarginMSE in `[loss]`."""

    # Weight of MarginMSE to the teacher's scores.
    margin_mse: float = bounded(0.0, low=0)
    # Which margins are compared. `first`: the positive against each negative. `all`: every pair of a query's
    # documents.
    margin_pairs: Literal["first", "all"] = "first"


class MarginMse(LossPart):
    """`losses.margin_mse`."""

    name = "margin_mse"

    def weight(self, config: MarginMseFields) -> float:
        """See `LossPart`."""
        return config.margin_mse

    def needs(self, config: MarginMseFields) -> frozenset[Need]:
        """See `LossPart`."""
        return frozenset({"own_documents", "teacher_scores"})

    def compute(self, batch: Batch, config: MarginMseFields) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        teacher, complete = batch.own_teaching(self.name)
        if not complete.any() or batch.group == 1:
            return batch.scores.sum() * 0
        return losses.margin_mse(
            batch.own[complete],
            teacher[complete],
            pairs=config.margin_pairs,
            mask=batch.vectors.valid[complete],
        )
