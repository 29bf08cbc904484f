"""The expected multiplications of a query with a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.penalties.penalty import Penalty, Regularizer

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.penalties import RegularizerConfig
    from splade_engine.training.objective.vectors import Vectors


@dataclass(frozen=True)
class JointFields:
    """Joint FLOPS in `[regularizer]`."""

    # Weight of the query-document FLOPS.
    joint_lambda: float = bounded(0.0, low=0)


class JointFlops(Regularizer):
    """`regularizers.joint_flops`."""

    name = "joint"

    def weight(self, config: JointFields) -> float:
        """See `Regularizer`."""
        return config.joint_lambda

    def compute(
        self,
        vectors: Vectors,
        config: RegularizerConfig,
        penalties: Mapping[str, Penalty],
        idf: Tensor | None,
    ) -> Tensor:
        """See `Regularizer`."""
        from splade_engine.training.objective import regularizers

        return regularizers.joint_flops(vectors.queries, vectors.documents[vectors.valid])
