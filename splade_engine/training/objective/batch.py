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
from splade_engine.training.objective.parts import PARTS
from splade_engine.training.objective.vectors import PairTeacher, Teacher, Teaching, Vectors

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
        # whether a loss part compares a query with the documents of the other queries, by the teachers
        self.whole = any("batch_scores" in part.needs(config) for part in PARTS if part.weight(config))
        # bool[N, N * G]: documents that are there and are not the query's positive under another number
        self.candidates = vectors.valid.flatten()[None, :] & ~vectors.same

    @cached_property
    def teaching(self) -> Teaching:
        """What the teachers say about this batch."""
        teaching = self._taught()
        if self.helpers.average is None:
            return teaching
        with torch.no_grad():
            slow = self.helpers.average(self.inputs)
            average = losses.batch_scores(slow.queries, slow.documents)
        return Teaching(own=teaching.own, batch=teaching.batch, average=average)

    def _taught(self) -> Teaching:
        vectors, config = self.vectors, self.config
        if not self.helpers.teachers:
            return Teaching(own=data_scores(self.inputs["scores"], config))
        if not self.whole:
            own = [self._own_table(teacher) for teacher in self.helpers.teachers]
            return Teaching(own=combined(own, config, vectors.valid))
        tables = [self._table(teacher) for teacher in self.helpers.teachers]
        return Teaching(
            own=combined([self._own(table) for table in tables], config, vectors.valid),
            batch=combined(tables, config, self.candidates),
        )

    def _own(self, table: Tensor) -> Tensor:
        """float[N, G] of float[N, N * G]."""
        return table.view(self.n, self.n, self.group)[self.row, self.row]

    def _table(self, teacher: Teacher) -> Tensor:
        """float32[N, N * G]: one teacher's scores of every query with every document of the batch."""
        scores = teacher(self.inputs["query_texts"], self.inputs["document_texts"])
        scores = scores.to(self.vectors.documents.device).float()
        grid = scores.new_zeros((self.n, self.n * self.group))
        grid[:, self.inputs["slots"]] = scores
        return grid

    def _own_table(self, teacher: Teacher) -> Tensor:
        """float32[N, G]: one teacher's scores of each query's own documents."""
        if not isinstance(teacher, PairTeacher):
            return self._own(self._table(teacher))
        slots = self.inputs["slots"]
        queries = [self.inputs["query_texts"][slot // self.group] for slot in slots.tolist()]
        scores = teacher.pairs(queries, self.inputs["document_texts"])
        grid = torch.zeros(self.n * self.group, device=self.vectors.documents.device)
        grid[slots] = scores.to(grid.device).float()
        return grid.view(self.n, self.group)

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


def combined(tables: Sequence[Tensor], config: TeacherFields, mask: Tensor) -> Tensor:
    """Several teachers' scores of the same candidates as one table, normalised over these candidates.

    Args:
        tables: K tables float[N, M].
        config: scale, factor and weights of the ensemble.
        mask: bool[N, M], True for the candidates that count.

    Returns:
        float[N, M]. With `teacher_scale` a teacher's scores of a query's candidates span it exactly.

    Raises:
        InvalidInputError: for several teachers without a common scale.
    """
    if config.teacher_scale:
        weights = config.teacher_weights or None
        return distillation.ensemble(tables, scale=config.teacher_scale, weights=weights, mask=mask)
    if len(tables) > 1:
        raise InvalidInputError(
            "loss.teacher_scale: several teachers are only comparable after normalisation"
        )
    return tables[0] * config.teacher_factor


def data_scores(own: Tensor, config: TeacherFields) -> Tensor:
    """float[N, G] scores that the data gives, NaN where it gives none, on the scale that is asked for."""
    known = torch.isfinite(own)
    if not known.any():  # e.g. a batch of freshly mined negatives: nothing to distil
        return own
    filled = torch.where(known, own, own.new_zeros(()))
    return torch.where(known, combined([filled], config, known), own.new_full((), torch.nan))
