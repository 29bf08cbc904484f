"""The regularisers. A new one is a file beside these and a row here.

Its fields go among the bases of `RegularizerConfig`, itself into `REGULARIZERS`; log, curves, ramp and
bounds follow from the table. A new kind of penalty on documents or queries is a file and its row in
`sides.PENALTIES`.

Importing this package is cheap: torch comes with the first computation.
"""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.training.fields import bounded
from splade_engine.training.objective.penalties.anti_collapse import AntiCollapse, AntiCollapseFields
from splade_engine.training.objective.penalties.df_flops import DfFlopsFields
from splade_engine.training.objective.penalties.joint import JointFields, JointFlops
from splade_engine.training.objective.penalties.penalty import Context, Penalty, Reduction, Regularizer
from splade_engine.training.objective.penalties.sides import (
    PENALTIES,
    DocumentPenalty,
    QueryPenalty,
    SideFields,
)
from splade_engine.training.objective.schedules import Ramp

__all__ = ["PENALTIES", "REGULARIZERS", "Context", "Penalty", "Reduction", "Regularizer", "RegularizerConfig"]


@dataclass(frozen=True)
class RampFields:
    """How the lambdas grow, in `[regularizer]`."""

    # How the lambdas grow (see `schedules.ramp`).
    ramp: Ramp = "quadratic"
    # Steps after which the lambdas have their whole value. 0 takes ramp_share of all steps.
    ramp_steps: int = bounded(0, low=0)
    # Share of all steps after which the lambdas have their whole value, if ramp_steps is 0.
    ramp_share: float = bounded(0.33, low=0)

    def rise(self, steps: int) -> int:
        """After how many steps, of a run of `steps`, the lambdas have their whole value."""
        return self.ramp_steps or round(self.ramp_share * steps)


# dataclasses collect the fields of the last base first, so the bases stand in reverse
@dataclass(frozen=True)
class RegularizerConfig(RampFields, AntiCollapseFields, JointFields, DfFlopsFields, SideFields):
    """`[regularizer]`: penalties on the term weights; formulas in `objective/regularizers.py`."""


# In the order in which they are added up and shown.
REGULARIZERS: tuple[Regularizer, ...] = (DocumentPenalty(), QueryPenalty(), JointFlops(), AntiCollapse())
