"""KL divergence to the moving average of the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch
    from splade_engine.training.objective.parts import LossConfig


@dataclass(frozen=True)
class SelfFields:
    """Self-distillation in `[loss]`."""

    # Weight of the KL divergence to the moving average of the model itself.
    self_weight: float = bounded(0.0, low=0)
    # Share of the average that a step keeps.
    self_decay: float = bounded(0.999, low=0)


class SelfDistillation(LossPart):
    """`distillation.self_distillation`."""

    name = "self"

    def weight(self, config: SelfFields) -> float:
        """See `LossPart`."""
        return config.self_weight

    def compute(self, batch: Batch, config: LossConfig) -> Tensor | None:
        """See `LossPart`."""
        from splade_engine.training.objective import distillation

        average = batch.teaching.average
        if average is None:
            return None
        return distillation.self_distillation(
            batch.scores, average, temperature=config.kl_temperature, mask=batch.candidates
        )
