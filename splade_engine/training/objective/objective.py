"""`Objective`: from vectors to one number, by the loss parts and regularisers that a recipe asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from splade_engine.training.objective.batch import Batch, Helpers
from splade_engine.training.objective.parts import PARTS, LossConfig
from splade_engine.training.objective.penalties import PENALTIES, REGULARIZERS, Context, RegularizerConfig
from splade_engine.training.objective.penalties.target import TermTarget
from splade_engine.training.objective.schedules import ramp
from splade_engine.training.objective.vectors import Vectors


class Objective:
    """The total of a recipe, and what its parts remember from step to step.

    Args:
        loss: weights and settings of the loss parts.
        regularizer: weights and settings of the regularisers.
        ramp_steps: the step at which the lambdas are whole.
    """

    def __init__(self, loss: LossConfig, regularizer: RegularizerConfig, ramp_steps: int) -> None:
        self.loss, self.regularizer, self.ramp_steps = loss, regularizer, ramp_steps
        self.parts = [part for part in PARTS if part.weight(loss)]
        self.regularizers = [each for each in REGULARIZERS if each.weight(regularizer)]
        self.penalties = {
            kind.name: kind() for kind in PENALTIES if kind.name in (regularizer.document, regularizer.query)
        }
        self.targets = {
            each: TermTarget(each.name, terms, each.weight(regularizer), ramp_steps)
            for each in self.regularizers
            if (terms := each.target(regularizer))
        }

    def lambdas(self, step: int) -> dict[str, float]:
        """The weight of each regulariser at optimiser step `step` (from 1), by name; with a target, now."""
        share = ramp(step, self.ramp_steps, self.regularizer.ramp)
        return {
            each.name: self.targets[each].weight
            if each in self.targets
            else each.weight(self.regularizer) * (share if each.ramped else 1.0)
            for each in self.regularizers
        }

    def total(
        self, vectors: Vectors, inputs: dict[str, Any], helpers: Helpers, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The number that is minimised, and its parts, unweighted and without gradients, by name.

        Args:
            vectors: the student's.
            inputs: the batch as the collator made it.
            helpers: whom loss parts can call upon.
            step: optimiser step, from 1.

        Raises:
            InvalidInputError: if a loss part lacks something that it needs.
        """
        batch = Batch(vectors, inputs, helpers, self.loss)
        total = torch.zeros((), device=batch.scores.device)  # float32, whatever the scores are
        named: dict[str, Tensor] = {}
        losses = {part: part.compute(batch, self.loss) for part in self.parts}
        context = Context(vectors, self.regularizer, self.penalties, helpers.table())
        fines = {each: each.compute(context) for each in self.regularizers}
        for part, value in losses.items():
            if value is not None:
                total = total + part.weight(self.loss) * value
                named[part.name] = value.detach()
        weights = self.lambdas(step)
        for each, fine in fines.items():
            if fine is not None:
                total = total + weights[each.name] * fine
        for name, value in vectors.extra.items():
            total = total + value
            named[name] = value.detach()
        named |= {f"penalty_{each.name}": f.detach() for each, f in fines.items() if f is not None}
        return total, named

    def observe(self, vectors: Vectors) -> None:
        """Let targets and the document penalty take note of a micro-batch that was trained on."""
        for each, target in self.targets.items():
            target.observe(each.terms(vectors))
        if self.regularizer.document in self.penalties:
            self.penalties[self.regularizer.document].observe(vectors)

    def after_step(self, step: int) -> None:
        """Once per optimiser step (from 1)."""
        for penalty in self.penalties.values():
            penalty.after_step(step, self.regularizer)
        for target in self.targets.values():
            target.after_step(step)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        out: dict[str, Tensor] = {}
        for penalty in self.penalties.values():
            out |= penalty.state()
        for target in self.targets.values():
            out |= target.state()
        return out

    def load_state(self, state: Mapping[str, Tensor], device: str) -> None:
        """Restore `state()` among whatever else a checkpoint holds."""
        for penalty in self.penalties.values():
            penalty.load_state(state, device)
        for target in self.targets.values():
            target.load_state(state)
