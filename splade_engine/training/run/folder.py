"""The folder of a run and the states that it can be in: new, cut short, closing, finished.

DIR/run.json        what the run is made from, see `inputs.py`
DIR/recipe.toml     everything that decides the run; from here on it can be resumed
DIR/checkpoints/    transformers' checkpoints; one without `complete.json` was cut short and is ignored
DIR/log.jsonl       one object per log line
DIR/best/           with probe.keep_best: the encoder with the best held-out nDCG@10
DIR/model/          the trained encoder: `SparseEncoder.load("DIR/model")`
DIR/curves.png      the log as curves (with matplotlib)
DIR/cache/          what is derived from the data; its removal is the last thing that a run does
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splade_engine.errors import InvalidInputError, TrainingError
from splade_engine.files import atomic_file, disk_errors, ours
from splade_engine.locks import lock_holder, take_lock
from splade_engine.training.machine import rank
from splade_engine.training.recipe import Recipe, load_recipe
from splade_engine.training.run.checkpoints import checkpoints
from splade_engine.training.run.health import DivergedError
from splade_engine.training.run.inputs import RUN, check_recipe, write_inputs
from splade_engine.training.run.monitor import RunLog
from splade_engine.training.run.paths import Moved, with_moved_paths

RECIPE, LOG = ours.TRAINING_RUN, ours.TRAINING_RUN_LOG
CACHE, MODEL, LOCK = "cache", "model", ".lock"
CHECKPOINTS = "checkpoints"


def stored_recipe(folder: Path, moved: Moved) -> Recipe:
    """The recipe of the run that is resumed, with paths as they are now.

    Raises:
        InvalidInputError: if there is no run, it is finished, its recipe is not as the run wrote it, or what
            it reads is not there.
    """
    if not (folder / RECIPE).is_file():
        raise InvalidInputError(f"{folder}: no {RECIPE}, so no run to resume")
    if (folder / MODEL).is_dir() and not is_closing(folder):
        raise InvalidInputError(f"{folder}: this run is finished, its model is in {folder / MODEL}")
    check_recipe(folder, folder / RECIPE)
    try:
        recipe = load_recipe(folder / RECIPE)
        if not recipe.data.sources:  # which stand at its end
            raise InvalidInputError("it names no training data")
    except InvalidInputError as error:  # a run without a record, so that only its content can tell
        raise InvalidInputError(
            f"{folder / RECIPE}: damaged, so the run cannot be resumed ({error})"
        ) from None
    return recipe if is_closing(folder) else with_moved_paths(recipe, moved)


def is_closing(folder: Path) -> bool:
    """Whether the model is written and what comes after it is not done."""
    return (folder / MODEL).is_dir() and (folder / CACHE).is_dir()


def close(folder: Path) -> None:
    """The last thing that a run does."""
    shutil.rmtree(folder / CACHE, ignore_errors=True)


def check_new(folder: Path) -> None:
    """A new or empty folder; what an attempt left that was killed before its recipe was written, goes.

    Raises:
        InvalidInputError: for any other folder.
        StorageError: if it cannot be written to.
    """
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {CACHE, RUN, LOCK}:
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        (folder / RUN).unlink(missing_ok=True)
    elif folder.exists():
        raise InvalidInputError(
            f"{folder}: not empty; --resume continues a run, a new run needs a new folder"
        )
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    with disk_errors(folder):
        if not os.access(existing, os.W_OK):
            raise PermissionError(13, "Permission denied")


def begin(folder: Path, recipe: Recipe, inputs: dict[str, str], steps: int) -> None:
    """Make the folder of a new run; when its recipe is written, it can be resumed."""
    write_inputs(folder, inputs, steps)
    with atomic_file(folder / RECIPE) as file:
        file.write(recipe.to_toml().encode())


@contextmanager
def unless_refused(folder: Path) -> Iterator[None]:
    """A new run that is refused, or lost, before it has logged or kept a step leaves nothing.

    The corrected command has the folder then.

    Args:
        folder: that `check_new` has looked at.
    """
    made = not folder.exists()
    try:
        yield
    except (InvalidInputError, DivergedError):
        if not _has_begun(folder) and not rank():
            for name in (CACHE, CHECKPOINTS):
                shutil.rmtree(folder / name, ignore_errors=True)
            for name in (RECIPE, RUN, LOG, LOCK):
                (folder / name).unlink(missing_ok=True)
            if made and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _has_begun(folder: Path) -> bool:
    """Whether a step of the run was logged, or kept in a checkpoint."""
    return any(row["step"] > 0 for row in RunLog(folder / LOG).rows()) or bool(checkpoints(folder))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made if missing, for this run alone; with several processes the first one holds it.

    Raises:
        TrainingError: if another run holds it.
        StorageError: if it cannot be made.
    """
    with disk_errors(folder):
        (folder / CACHE).mkdir(parents=True, exist_ok=True)
    if rank():
        yield
        return
    lock = take_lock(folder / LOCK)
    if lock is None:
        raise TrainingError(f"{folder}: process {lock_holder(folder / LOCK)} is training in it")
    with lock:
        yield
