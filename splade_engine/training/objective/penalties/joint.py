"""The expected multiplications of a query with a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.penalties.penalty import Context, Regularizer

if TYPE_CHECKING:
    from torch import Tensor


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

    def compute(self, batch: Context) -> Tensor:
        """See `Regularizer`."""
        from splade_engine.training.objective import regularizers

        return regularizers.joint_flops(batch.vectors.queries, batch.documents())
