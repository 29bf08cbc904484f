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
    # Which candidates the divergence is over. `own`: a query's own documents. `all`: those of the whole
    # batch, for teachers that score on the fly. This holds for the sparsemax loss too.
    kl_candidates: Literal["own", "all"] = "own"


class Kl(LossPart):
    """`losses.kl_divergence`."""

    name = "kl"

    def weight(self, config: KlFields) -> float:
        """See `LossPart`."""
        return config.kl

    def needs(self, config: KlFields) -> frozenset[Need]:
        """See `LossPart`."""
        return needs_of(config.kl_candidates)

    def compute(self, batch: Batch, config: KlFields) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        found = compared(batch, config.kl_candidates, self.name)
        if found is None:
            return batch.scores.sum() * 0
        student, teacher, mask = found
        return losses.kl_divergence(
            student, teacher, temperature=config.kl_temperature, rescale=config.kl_rescale, mask=mask
        )


def needs_of(candidates: Literal["own", "all"]) -> frozenset[Need]:
    """What distillation over these candidates needs."""
    return frozenset({"teacher_scores", "own_documents" if candidates == "own" else "batch_scores"})


def compared(
    batch: Batch, candidates: Literal["own", "all"], what: str
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The student's scores, the teachers', and which candidates count, float[n, M] and bool[n, M].

    None where no query has a score for each of its documents.

    Raises:
        InvalidInputError: if there is no teacher; `what` names the loss that needs it.
    """
    if candidates == "all":
        if batch.teaching.batch is None:
            raise InvalidInputError("loss.kl_candidates = all needs loss.teachers that score on the fly")
        return batch.scores, batch.teaching.batch, batch.candidates
    teacher, complete = batch.own_teaching(what)
    if not complete.any():
        return None
    return batch.own[complete], teacher[complete], batch.vectors.valid[complete]
