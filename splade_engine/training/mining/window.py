"""`Window`: which examples a change of the data can still reach, and `Run`: what it asks of a run."""

from __future__ import annotations

from typing import Any, Protocol

from splade_engine.errors import InvalidInputError
from splade_engine.training.data.collate import Collator
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.recipe import Recipe
from splade_engine.training.student.student import Student

LOOKAHEAD = 2  # micro-batches that the data loader may have read already; they keep their order


class Run(Protocol):
    """What renewing data asks of a run (`run.trainer.SparseTrainer`)."""

    args: Any
    recipe: Recipe
    training_set: TrainingSet
    collator: Collator

    @property
    def student(self) -> Student:
        """The student with its weights as they are now."""
        ...


class Window:
    """The examples that a change made after a step can still reach."""

    def __init__(self, trainer: Run, steps: int, what: str) -> None:
        if trainer.args.world_size > 1 or trainer.recipe.train.workers:
            raise InvalidInputError(
                f"{what} needs one process and train.workers = 0: batches are read as they come"
            )
        self.trainer, self.steps = trainer, steps

    def at(self, step: int) -> tuple[int, range]:
        """(first example not trained on yet, examples of the next window), as numbers."""
        data, accumulation = self.trainer.training_set, self.trainer.recipe.train.accumulation
        done = step * accumulation
        first = 0 if step == 0 else done + LOOKAHEAD
        last = (step + self.steps) * accumulation + LOOKAHEAD
        first, last = (min(b, data.n_batches) * data.batch_size for b in (first, last))
        return done * data.batch_size, range(first, last)
