"""Whether a run can go on: NaN, no memory, a full disk, each as one line with its cause and a way on."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from splade_engine.errors import SpladeEngineError, StorageError, TrainingError, reason_of
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe import Recipe
from splade_engine.training.run.memory import is_out_of_memory

logger = logging.getLogger(__name__)

# what torch and safetensors say, in errors of their own, when a file cannot be written
_REFUSED = ("inline_container", "basic_ios", "file write failed", "No space left", "I/O error")


class DivergedError(TrainingError):
    """A run that is lost: begun again from its first step, it would come to the same."""


def check_loss(
    loss: Tensor, parts: Mapping[str, Tensor], vectors: Vectors, student: nn.Module, recipe: Recipe, step: int
) -> None:
    """Stop at the first loss that is no number.

    Args:
        loss: the total of a micro-batch.
        parts: its parts by name, without weights.
        vectors: of the batch.
        student: what is trained.
        recipe: of the run.
        step: optimiser step, from 1.

    Raises:
        DivergedError: naming the likely cause and what to change.
    """
    if math.isfinite(float(loss)):
        return
    found = f"step {step}: the loss is {float(loss)}"
    if (broken := _broken(student)) is not None:
        raise DivergedError(f"{found}: {_exploded(broken, recipe)}")
    if not (torch.isfinite(vectors.queries).all() and torch.isfinite(vectors.documents).all()):
        raise DivergedError(
            f"{found}: the weights are finite and the vectors are not{_precision(recipe)}; "
            f"lower train.lr (now {recipe.train.lr:g}; a tenth is a good next try), or "
            "start from another base; no model was written"
        )
    bad = [name for name, value in parts.items() if not math.isfinite(float(value))]
    raise DivergedError(
        f"{found}: the weights and vectors are finite, {', '.join(bad) or 'the sum'} is not; look at the "
        "scores of the teachers or the data, and at the temperatures and weights of the recipe; no model was "
        "written"
    )


def check_weights(student: nn.Module, recipe: Recipe, step: int) -> None:
    """Refuse to write or measure a model that is no model any more.

    Raises:
        DivergedError: if a weight is NaN or infinite.
    """
    if (broken := _broken(student)) is not None:
        raise DivergedError(f"step {step}: {_exploded(broken, recipe)}")


def check_fall(start: float, now: float, recipe: Recipe, step: int) -> None:
    """Warn of a held-out nDCG@10 that is below the start's, or stop (`probe.stop_below`).

    Raises:
        TrainingError: naming both figures and what to change.
    """
    if now >= start:
        return
    found = f"step {step}: held-out nDCG@10 is {now:.4f}, before the first step it was {start:.4f}"
    limit = recipe.probe.stop_below
    if limit and start - now >= limit:
        raise TrainingError(
            f"{found}: the run makes the encoder worse; lower train.lr (now {recipe.train.lr:g}; a tenth is "
            "a good next try), take more pairs or fewer steps, or let it go on with probe.stop_below = 0; no "
            "model was written"
        )
    logger.warning("%s", found)


def check_learnt(rows: Sequence[Mapping[str, float]], losses: Collection[str]) -> None:
    """Warn of a run whose losses were 0 at every step: with one document there is none to tell it from.

    Args:
        rows: of the log.
        losses: names of the loss parts.
    """
    found = [value for row in rows for name, value in row.items() if name in losses]
    if found and not any(found):
        logger.warning(
            "the loss was 0 at every step, so nothing was learnt: a batch needs documents that differ, as "
            "negatives for one another (more pairs, a larger train.batch_size, mined negatives)"
        )


def _broken(student: nn.Module) -> str | None:
    """The first weight that is not finite, None where all are."""
    for name, parameter in student.named_parameters():
        if not torch.isfinite(parameter).all():
            return name
    return None


def _exploded(name: str, recipe: Recipe) -> str:
    train = recipe.train
    clip = "" if train.max_grad_norm else ", set train.max_grad_norm = 1"
    return (
        f"the weights are no longer finite ({name}), the steps were too large{_precision(recipe)}; lower "
        f"train.lr (now {train.lr:g}; a tenth is a good next try){clip} or lengthen train.warmup_steps; no "
        "model was written"
    )


def _precision(recipe: Recipe) -> str:
    return " or float16 overflowed (try train.precision = bf16)" if recipe.train.precision == "fp16" else ""


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what a run can fail of without anybody's fault into one line with a way on.

    Raises:
        StorageError: for a disk that refuses.
        TrainingError: if memory is short outside a step (a step tries smaller batches itself).
    """
    try:
        yield
    except SpladeEngineError as error:
        if isinstance(error, StorageError):
            raise StorageError(error.errno, f"{error.strerror}; {_way_on(folder)}") from error
        raise
    except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
        if is_out_of_memory(error):
            said = (str(error).splitlines() or ["the system has no more to give"])[0][:120]
            raise TrainingError(
                f"out of memory beside a step ({said}); free some and resume, or start a run with a smaller "
                f"train.batch_size; {_way_on(folder)}"
            ) from error
        if isinstance(error, OSError) or any(text in str(error) for text in _REFUSED):
            number = getattr(error, "errno", None) or errno.EIO
            # torch says where it noticed that a file had been cut short, and not why
            unsaid = f"the disk is full or refuses ({reason_of(error)[:200]})"
            reason = getattr(error, "strerror", None) or unsaid
            place = getattr(error, "filename", None) or folder
            raise StorageError(number, f"cannot write {place}: {reason}; {_way_on(folder)}") from error
        raise


def _way_on(folder: Path) -> str:
    return f"the run in {folder} can be resumed from its last checkpoint"
