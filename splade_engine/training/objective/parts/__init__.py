"""The loss parts. A new one is a file beside these and a row here.

Its fields go among the bases of `LossConfig`, its part into `PARTS`; log, curves, bounds and checks of the
data follow from the table.

Importing this package is cheap: torch comes with the first computation.
"""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.training.objective.parts.bank import BankFields, BankLoss
from splade_engine.training.objective.parts.contrastive import Candidates, Contrastive, ContrastiveFields
from splade_engine.training.objective.parts.embed import Embed, EmbedFields
from splade_engine.training.objective.parts.kl import Kl, KlFields
from splade_engine.training.objective.parts.margin_mse import MarginMse, MarginMseFields
from splade_engine.training.objective.parts.pairwise import Pairwise, PairwiseFields
from splade_engine.training.objective.parts.part import LossPart, Need
from splade_engine.training.objective.parts.self_distillation import SelfDistillation, SelfFields
from splade_engine.training.objective.parts.sparsemax import Sparsemax, SparsemaxFields
from splade_engine.training.objective.parts.teachers import TeacherFields
from splade_engine.training.objective.parts.term import Term, TermFields

__all__ = ["PARTS", "Candidates", "LossConfig", "LossPart", "Need"]


# dataclasses collect the fields of the last base first, so the bases stand in reverse
@dataclass(frozen=True)
class LossConfig(
    TeacherFields,
    SelfFields,
    EmbedFields,
    BankFields,
    TermFields,
    SparsemaxFields,
    KlFields,
    MarginMseFields,
    PairwiseFields,
    ContrastiveFields,
):
    """`[loss]`: the weight of every loss part, where 0 leaves it out, and its settings."""


# In the order in which they are added up and shown.
PARTS: tuple[LossPart, ...] = (
    Contrastive(),
    Pairwise(),
    MarginMse(),
    Kl(),
    Sparsemax(),
    SelfDistillation(),
    Term(),
    BankLoss(),
    Embed(),
)
