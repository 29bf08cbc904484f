"""Whether what the teachers say can be learned at the scale that they say it on.

KL divergence and MarginMSE compare differences of scores. Sparse scores of a query's documents lie some 2
to 20 apart, cosines a tenth and probabilities less than one: at that scale KL asks for a student that tells
documents apart as little as e^.1 to 1, MarginMSE for margins of .1, and the easiest way there is a student
whose weights are nearly zero. From a real SPLADE model such runs collapsed within 50 steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.batch import Batch
from splade_engine.training.objective.parts import PARTS
from splade_engine.training.run.trainer import SparseTrainer
from splade_engine.training.student.student import batch_inputs

LOOK = 64  # queries looked at
SMALLEST = 1.0  # a span at which softmax tells the best from the worst by a factor of e
TIMES = 4.0  # how many times wider the student's span must be: then the teachers would shrink it


def check_scales(trainer: SparseTrainer) -> None:
    """Compare how far apart teachers and student place the candidates of the first queries.

    Raises:
        InvalidInputError: if the teachers' scores are too close together to teach this student.
    """
    recipe = trainer.recipe
    taught = [p for p in PARTS if p.weight(recipe.loss) and "teacher_scores" in p.needs(recipe.loss)]
    if not taught or recipe.loss.teacher_scale:
        return
    spans = torch.tensor(list(_spans(trainer)))
    if not len(spans):
        return
    teachers, student = spans.mean(0).tolist()
    if teachers >= SMALLEST or student < TIMES * teachers or not teachers:
        return
    names = " and ".join(f"loss.{part.name}" for part in taught)
    factor = float(f"{min(student, 30.0) / teachers * recipe.loss.teacher_factor:.2g}")
    raise InvalidInputError(
        f"recipe {recipe.name}: the scores of a query's documents lie {teachers:.2g} apart by the teachers "
        f"and {student:.2g} by the student (means over {len(spans)} queries): {names} would shrink it; "
        f"set loss.teacher_scale = 30 (stretches each query's scores to that range) or loss.teacher_factor = "
        f"{factor:g} (multiplies all of them, which keeps how sure the teacher is)"
    )


def _spans(trainer: SparseTrainer) -> Iterator[tuple[float, float]]:
    """Largest minus smallest score of a query's candidates, by the teachers and by the student."""
    data, size, student = trainer.training_set, trainer.recipe.train.batch_size, trainer.student
    training = student.training
    student.eval()
    try:
        for first in range(0, min(LOOK, len(data)), size):
            examples = [data[i] for i in range(first, min(first + size, len(data)))]
            inputs = trainer._prepare_inputs(trainer.collator(examples))
            with torch.no_grad():
                batch = Batch(student(**batch_inputs(inputs)), inputs, trainer.helpers, trainer.recipe.loss)
                yield from _spans_of(batch)
    finally:
        student.train(training)


def _spans_of(batch: Batch) -> Iterator[tuple[float, float]]:
    teaching = batch.teaching
    if batch.whole and teaching.batch is not None:
        teacher, student, counts = teaching.batch, batch.scores, batch.candidates
    elif teaching.own is not None:
        counts = batch.vectors.valid & torch.isfinite(teaching.own)
        teacher, student = teaching.own, batch.own
    else:
        return
    enough = counts.sum(1) > 1
    both = zip(_span(teacher, counts)[enough].tolist(), _span(student, counts)[enough].tolist(), strict=True)
    yield from both


def _span(scores: Tensor, counts: Tensor) -> Tensor:
    high = scores.masked_fill(~counts, -torch.inf).amax(1)
    return high - scores.masked_fill(~counts, torch.inf).amin(1)
