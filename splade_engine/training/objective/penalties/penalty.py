"""`Penalty`: how one side's term weights are charged; `Regularizer`: a charge and its weight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from splade_engine.training.objective.penalties import RegularizerConfig
    from splade_engine.training.objective.vectors import Vectors

Reduction = Literal["flat", "per_slot"]


class Penalty(ABC):
    """A kind of charge, named in `regularizer.document` and `regularizer.query`.

    A run makes one of each that it needs; a kind that remembers something keeps it here.
    """

    name: ClassVar[str]

    @abstractmethod
    def compute(
        self,
        weights: Tensor,
        config: RegularizerConfig,
        *,
        reduction: Reduction,
        threshold: int,
        idf: Tensor | None,
    ) -> Tensor:
        """The charge of one micro-batch, a scalar.

        Args:
            weights: float[N, V] or float[N, G, V].
            config: the kind's own fields.
            reduction: see `regularizers.flops`.
            threshold: the l0 mask, 0 for none.
            idf: float[V], the query table, for an IDF-aware charge; None: the same for every term.
        """

    def observe(self, vectors: Vectors) -> None:  # noqa: B027  (most kinds remember nothing)
        """Take note of a micro-batch that was trained on."""

    def after_step(self, step: int, config: RegularizerConfig) -> None:  # noqa: B027
        """Once per optimiser step (from 1)."""

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, by names that no other kind uses."""
        return {}

    def load_state(self, state: Mapping[str, Tensor], device: str) -> None:  # noqa: B027
        """Restore `state()`; entries of other kinds are passed over."""


@dataclass(frozen=True)
class Context:
    """What a regulariser is shown: a micro-batch, and the run that it belongs to."""

    vectors: Vectors
    # The recipe's section.
    config: RegularizerConfig
    # The run's penalties by kind.
    penalties: Mapping[str, Penalty]
    # float[V], the query table; None where queries are encoded.
    idf: Tensor | None

    def documents(self) -> Tensor:
        """float[M, V]: the vectors of all documents, without what pads the grid."""
        return self.vectors.documents[self.vectors.valid]


class Regularizer(ABC):
    """A charge with its weight in the recipe, logged as `penalty_NAME` and `lambda_NAME`."""

    name: ClassVar[str]
    # Whether its weight grows by `regularizer.ramp`; else it is whole from the first step.
    ramped: ClassVar[bool] = True

    @abstractmethod
    def weight(self, config: RegularizerConfig) -> float:
        """Its lambda, or where it has a target, the one to start from; 0 leaves it out."""

    def target(self, config: RegularizerConfig) -> float:
        """Mean terms a text that its lambda shall lead to; 0: lambda is given."""
        return 0.0

    def terms(self, vectors: Vectors) -> Tensor:
        """int64[texts]: active terms of each text that its target is about."""
        raise NotImplementedError  # kinds without a target are not asked

    @abstractmethod
    def compute(self, batch: Context) -> Tensor | None:
        """The charge of one micro-batch, a scalar without its lambda; None where it does not apply."""
