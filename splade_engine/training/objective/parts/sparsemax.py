"""The sparsemax loss towards the teachers: far candidates get exactly nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.kl import compared, needs_of
from splade_engine.training.objective.parts.part import LossPart, Need

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch
    from splade_engine.training.objective.parts import LossConfig


@dataclass(frozen=True)
class SparsemaxFields:
    """The sparsemax loss in `[loss]`."""

    # Weight of the sparsemax loss (arXiv 1602.02068) towards the sparsemax of the teachers' scores. KL gives
    # every far candidate a little; this loss gives them exactly 0.
    sparsemax: float = bounded(0.0, low=0)
    # Divides the scores of student and teachers in the sparsemax loss. Candidates that lie further than this
    # below the best one get nothing.
    sparsemax_temperature: float = bounded(10.0, low=1e-9)


class Sparsemax(LossPart):
    """`losses.sparsemax_loss`."""

    name = "sparsemax"

    def weight(self, config: SparsemaxFields) -> float:
        """See `LossPart`."""
        return config.sparsemax

    def needs(self, config: LossConfig) -> frozenset[Need]:
        """See `LossPart`."""
        return needs_of(config.kl_candidates)

    def compute(self, batch: Batch, config: LossConfig) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        found = compared(batch, config.kl_candidates, self.name)
        if found is None:
            return batch.scores.sum() * 0
        student, teacher, mask = found
        return losses.sparsemax_loss(student, teacher, temperature=config.sparsemax_temperature, mask=mask)
