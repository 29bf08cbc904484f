"""KL divergence to the teachers over queries that are not the batch's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch
    from splade_engine.training.objective.parts import LossConfig


@dataclass(frozen=True)
class BankFields:
    """The query bank in `[loss]`."""

    # Weight of the KL divergence to the teachers over further queries for the batch's documents (see
    # `query_bank.QueryBank`).
    bank: float = bounded(0.0, low=0)
    # Queries that each document of a batch brings along.
    bank_queries: int = bounded(6, low=1)
    # Range of the normalised ensemble over them.
    bank_scale: float = 15.0


class BankLoss(LossPart):
    """`bank_loss` over the queries that the bank places near the batch's documents."""

    name = "bank"

    def weight(self, config: BankFields) -> float:
        """See `LossPart`."""
        return config.bank

    def compute(self, batch: Batch, config: LossConfig) -> Tensor | None:
        """See `LossPart`."""
        bank = batch.helpers.bank
        if bank is None:
            return None
        documents = batch.vectors.documents[batch.vectors.valid]
        about = batch.inputs["document_texts"]
        texts, dense = bank.near(about)
        queries = batch.helpers.encode_queries(texts)
        scored = (dense if t is bank.teacher else t(texts, about) for t in batch.helpers.teachers)
        tables = [table.to(documents.device).float() for table in scored]
        return bank_loss(queries, documents, tables, config)


def bank_loss(queries: Tensor, documents: Tensor, teachers: Sequence[Tensor], config: LossConfig) -> Tensor:
    """KL to the teachers' ensemble.

    Args:
        queries: float[B, V].
        documents: float[M, V].
        teachers: tables float[B, M].
        config: scale and weights of the ensemble, temperature.
    """
    from splade_engine.training.objective import distillation, losses

    target = distillation.ensemble(teachers, scale=config.bank_scale, weights=config.teacher_weights or None)
    return losses.kl_divergence(queries @ documents.T, target, temperature=config.kl_temperature)
