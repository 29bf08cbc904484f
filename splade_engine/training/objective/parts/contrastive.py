"""InfoNCE over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart, Need

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch

Candidates = Literal["all", "positives", "own", "own_and_positives", "negatives"]


@dataclass(frozen=True)
class ContrastiveFields:
    """InfoNCE in `[loss]`."""

    # Weight of InfoNCE.
    contrastive: float = bounded(1.0, low=0)
    # Which documents of the batch compete with a query's positive (see `losses.candidate_mask`).
    candidates: Candidates = "all"
    # Divides the scores in InfoNCE.
    temperature: float = bounded(1.0, low=1e-9)


class Contrastive(LossPart):
    """`losses.info_nce`."""

    name = "contrastive"

    def weight(self, config: ContrastiveFields) -> float:
        """See `LossPart`."""
        return config.contrastive

    def needs(self, config: ContrastiveFields) -> frozenset[Need]:
        """See `LossPart`."""
        return frozenset({"own_documents"} if config.candidates in ("own", "negatives") else ())

    def compute(self, batch: Batch, config: ContrastiveFields) -> Tensor:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        mask = losses.candidate_mask(batch.n, batch.group, config.candidates, batch.scores.device)
        return losses.info_nce(
            batch.scores,
            batch.row * batch.group,
            temperature=config.temperature,
            mask=mask & batch.candidates,
        )
