"""KL divergence to the teachers' scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from splade_engine.errors import InvalidInputError
from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart, Need

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch


@dataclass(frozen=True)
class KlFields:
    """KL divergence in `[loss]`."""

    # Weight of the KL divergence to the teachers.
    kl: float = bounded(0.0, low=0)
    # Divides the scores of student and teachers, in every part that is a KL divergence.
    kl_temperature: float = bounded(1.0, low=1e-9)
    # Multiply the divergence by the square of the temperature (Hinton et al., arXiv 1503.02531).
    kl_rescale: bool = False
    # `own`: over a query's own documents; `all`: over the whole batch, for teachers that score on the fly.
    kl_candidates: Literal["own", "all"] = "own"


class Kl(LossPart):
    """`losses.kl_divergence`."""

    name = "kl"

    def weight(self, config: KlFields) -> float:
        """See `LossPart`."""
        return config.kl

    def needs(self, config: KlFields) -> frozenset[Need]:
        """See `LossPart`."""
        return frozenset({"teacher_scores", *({"own_documents"} if config.kl_candidates == "own" else ())})

    def compute(self, batch: Batch, config: KlFields) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        if config.kl_candidates == "all":
            if batch.teaching.batch is None:
                raise InvalidInputError("loss.kl_candidates = all needs loss.teachers that score on the fly")
            teacher, student, mask = batch.teaching.batch, batch.scores, batch.candidates
        else:
            teacher, complete = batch.own_teaching(self.name)
            if not complete.any():
                return batch.scores.sum() * 0
            valid = batch.vectors.valid
            teacher, student, mask = teacher[complete], batch.own[complete], valid[complete]
        return losses.kl_divergence(
            student, teacher, temperature=config.kl_temperature, rescale=config.kl_rescale, mask=mask
        )
