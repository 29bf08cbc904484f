"""Distance of every document weight from a lexical target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch


@dataclass(frozen=True)
class TermFields:
    """The term loss in `[loss]`."""

    # Weight of the distance of every document weight from its lexical target (see `lexical.TermTeacher`).
    term: float = bounded(0.0, low=0)
    # Weight of terms that have no target.
    term_surplus: float = bounded(0.3, low=0)
    # The share that the base's own weights of the document have in that target. 1: they alone are the target,
    # so that other losses do not undo what the base has learned.
    term_start: float = bounded(0.0, low=0, high=1)


class Term(LossPart):
    """`losses.term_loss`."""

    name = "term"

    def weight(self, config: TermFields) -> float:
        """See `LossPart`."""
        return config.term

    def compute(self, batch: Batch, config: TermFields) -> Tensor | None:
        """See `LossPart`."""
        from splade_engine.training.objective import losses

        table, logits = batch.helpers.table(), batch.vectors.logits
        if "targets" not in batch.inputs or logits is None:
            return None
        if table is None:  # queries of a model: all terms matter alike
            table = logits.new_full((logits.shape[1],), losses.TYPICAL_IDF)
        return losses.term_loss(logits, batch.inputs["targets"], table, surplus=config.term_surplus)
