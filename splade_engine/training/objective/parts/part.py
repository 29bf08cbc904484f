"""`LossPart`: one term of the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch
    from splade_engine.training.objective.parts import LossConfig

Need = Literal["own_documents", "teacher_scores", "batch_scores"]
"""What a part needs: documents of a query's own beside its positive; scores of a teacher; scores of the whole
batch, which only teachers that score on the fly give."""


class LossPart(ABC):
    """One term of the loss. Its fields in the recipe are a dataclass beside it, a base of `LossConfig`."""

    # In the log, and in error messages after `loss.`.
    name: ClassVar[str]

    @abstractmethod
    def weight(self, config: LossConfig) -> float:
        """Its factor in the total; 0 leaves it out."""

    def needs(self, config: LossConfig) -> frozenset[Need]:
        """What the data must give; the run refuses to start where it does not."""
        return frozenset()

    @abstractmethod
    def compute(self, batch: Batch, config: LossConfig) -> Tensor | None:
        """The part of one micro-batch, a scalar without its weight; None where it does not apply.

        Raises:
            InvalidInputError: if something is missing that it needs.
        """
