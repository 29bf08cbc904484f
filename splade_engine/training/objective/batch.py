"""`Batch`: what a loss part can ask for, and `Helpers`: whom it can call upon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective import distillation, losses
from splade_engine.training.objective.vectors import Teacher, Teaching, Vectors

if TYPE_CHECKING:
    from splade_engine.training.objective.parts import LossConfig
    from splade_engine.training.objective.parts.teachers import TeacherFields


class Bank(Protocol):
    """More queries for a batch's documents (`teachers/query_bank.py`)."""

    teacher: Any

    def near(self, documents: Sequence[str]) -> tuple[list[str], Tensor]:
        """Queries near these M documents, and the dense teacher's scores of them, float32[queries, M]."""
        ...


class Embedder(Protocol):
    """A dense teacher."""

    def embed_documents(self, texts: Sequence[str]) -> Tensor:
        """float32[n, E] of unit length."""
        ...


@dataclass(frozen=True)
class Helpers:
    """Whom a loss part can call upon."""

    # The student's query weights of texts, float[n, V], with gradients.
    encode_queries: Callable[[Sequence[str]], Tensor]
    # The query table float[V] as it is now, without gradients; None where queries are encoded.
    table: Callable[[], Tensor | None]
    # Vectors of a batch (by its inputs) by the moving average of the student; None without one.
    average: Callable[[dict[str, Any]], Vectors] | None = None
    # Score every batch on the fly.
    teachers: Sequence[Teacher] = ()
    # Further queries for every batch's documents.
    bank: Bank | None = None
    # The dense teacher; raises InvalidInputError where there is none.
    embedder: Callable[[], Embedder] | None = None


class Batch:
    """One micro-batch of N queries with G documents each, as loss parts see it.

    Args:
        vectors: the student's.
        inputs: the batch as the collator made it.
        helpers: teachers, bank, moving average.
        config: the recipe's loss section.
    """

    def __init__(
        self, vectors: Vectors, inputs: dict[str, Any], helpers: Helpers, config: LossConfig
    ) -> None:
        self.vectors, self.inputs, self.helpers, self.config = vectors, inputs, helpers, config
        self.n, self.group = vectors.valid.shape
        # float[N, N * G]: every query against every document
        self.scores = losses.batch_scores(vectors.queries, vectors.documents)
        # int64[N], the number of each query
        self.row = torch.arange(self.n, device=self.scores.device)
        # float[N, G]: every query against its own documents, the positive first
        self.own = self.scores.view(self.n, self.n, self.group)[self.row, self.row]
        # bool[N, N * G]: documents that are there and are not the query's positive under another number
        self.candidates = vectors.valid.flatten()[None, :] & ~vectors.same

    @cached_property
    def teaching(self) -> Teaching:
        """What the teachers say about this batch."""
        tables = []
        for teacher in self.helpers.teachers:
            scores = teacher(self.inputs["query_texts"], self.inputs["document_texts"])
            scores = scores.to(self.vectors.documents.device)
            grid = scores.new_zeros((self.n, self.n * self.group)).float()
            grid[:, self.inputs["slots"]] = scores.float()
            tables.append(grid)
        vectors = self.vectors
        teaching = teacher_scores(tables, self.inputs["scores"], self.config, vectors.valid, vectors.same)
        if self.helpers.average is None:
            return teaching
        with torch.no_grad():
            slow = self.helpers.average(self.inputs)
            average = losses.batch_scores(slow.queries, slow.documents)
        return Teaching(own=teaching.own, batch=teaching.batch, average=average)

    def own_teaching(self, what: str) -> tuple[Tensor, Tensor]:
        """float[N, G] teacher scores of the own documents, and bool[N]: which queries have one for each.

        Raises:
            InvalidInputError: if there are none; `what` names the loss that needs them.
        """
        own, valid = self.teaching.own, self.vectors.valid
        if own is None:
            raise InvalidInputError(
                f"loss.{what} needs teacher scores: the data has none, and loss.teachers is empty"
            )
        known = torch.isfinite(own)
        complete = (known | ~valid).all(1) & (valid.sum(1) > 1)
        return torch.where(known, own, own.new_zeros(())), complete


def teacher_scores(
    on_the_fly: Sequence[Tensor], own: Tensor, config: TeacherFields, valid: Tensor, same: Tensor
) -> Teaching:
    """Teachers' scores as one `Teaching`, normalised as asked.

    Args:
        on_the_fly: float[N, N * G] of each teacher; empty: the data's scores are taken.
        own: float[N, G] scores of the data, NaN where unknown.
        config: scale and weights of the ensemble.
        valid: bool[N, G].
        same: bool[N, N * G], see `Vectors`.

    Raises:
        InvalidInputError: for several teachers without a common scale.
    """
    n, group = valid.shape
    if on_the_fly:
        mask = valid.flatten()[None, :] & ~same
        batch = on_the_fly[0]
        if config.teacher_scale:
            weights = config.teacher_weights or None
            batch = distillation.ensemble(on_the_fly, scale=config.teacher_scale, weights=weights, mask=mask)
        elif len(on_the_fly) > 1:
            raise InvalidInputError(
                "loss.teacher_scale: several teachers are only comparable after normalisation"
            )
        row = torch.arange(n, device=batch.device)
        return Teaching(own=batch.view(n, n, group)[row, row], batch=batch)
    if not torch.isfinite(own).any():  # e.g. a batch of freshly mined negatives: nothing to distil
        return Teaching(own=own)
    if config.teacher_scale:
        known = torch.isfinite(own)
        filled = torch.where(known, own, own.new_zeros(()))
        scaled = config.teacher_scale * distillation.min_max(filled, known)
        own = torch.where(known, scaled, own.new_full((), torch.nan))
    return Teaching(own=own)
