"""From a recipe's data section to the examples of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.sources import Source, kind_of, open_source
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.recipe.sections import SourceConfig

logger = logging.getLogger(__name__)
_ENOUGH = 10  # rows with scores that say something of all of them


def open_sources(recipe: Recipe, cache: Path) -> list[Source]:
    """The recipe's sources, their first rows checked.

    Raises:
        DatasetError: naming file and row of the first bad one.
        InvalidInputError: negatives, a corpus or queries are given that no source reads.
    """
    _check_read(recipe.data.sources)
    sources = [open_source(config, cache) for config in recipe.data.sources]
    rng = np.random.default_rng(0)
    left = recipe.data.check_rows
    for source in sources:
        looked = min(len(source), left)
        empty = _looked_at(source, looked, rng)
        left -= looked
        if not empty:
            continue
        what = f"{source.name}: {empty} of {'its' if looked == len(source) else 'the first'} {looked} rows"
        what += " give no training pair (no document with a label above 0, or too short)"
        if empty == looked and looked in (len(source), recipe.data.check_rows):
            raise DatasetError(what)
        logger.warning("%s and are left out", what)
    return sources


def _looked_at(source: Source, n: int, rng: np.random.Generator) -> int:
    """How many of the first `n` rows give no example; says so if scores put negatives above positives.

    They do where smaller is better, as of distances, or where a margin is that of the negative.
    """
    empty = scored = against = 0
    for i in range(n):
        example = source.example(i, rng)
        empty += example is None
        if example is None or not example.scores or not example.negatives:
            continue
        split = len(example.positives)
        scored += 1
        against += max(example.scores[:split]) < float(np.mean(example.scores[split:]))
    if scored >= _ENOUGH and 2 * against > scored:
        logger.warning(
            "%s: in %d of %d rows the negatives score higher than the positive; a higher score must be of a "
            "better answer (of distances, write the negative)",
            *(source.name, against, scored),
        )
    return empty


# fields of a source, the kind that reads them, and what that is called
_READ_BY = (
    ("negatives", "beir", "a BEIR folder"),
    ("corpus", "jsonl", "a JSONL file"),
    ("queries", "jsonl", "a JSONL file"),
)


def _check_read(configs: Sequence[SourceConfig]) -> None:
    """The command line gives each file to all sources: one of them has to read it.

    Raises:
        InvalidInputError: naming the file that none reads.
    """
    for name, kind, what in _READ_BY:
        given = [config for config in configs if getattr(config, name)]
        if given and not any(kind_of(config) == kind for config in given):
            file, path = getattr(given[0], name), given[0].path
            raise InvalidInputError(f"{file}: data.sources.{name} is read for {what}, and {path} is none")


def build_training_set(recipe: Recipe, sources: Sequence[Source], world: int = 1) -> TrainingSet:
    """The examples of the whole run on all `world` devices."""
    train, data = recipe.train, recipe.data
    held_out = min(data.held_out, len(sources[0]) // 5) if sources and not recipe.probe.data else 0
    return TrainingSet(
        sources,
        [s.weight for s in data.sources],
        n_batches=optimiser_steps(recipe, sources, world) * train.accumulation * world,
        batch_size=train.batch_size,
        negatives=data.negatives,
        seed=train.seed,
        one_source_per_batch=data.one_source_per_batch,
        held_out=held_out,
    )


def optimiser_steps(recipe: Recipe, sources: Sequence[Source], world: int = 1) -> int:
    """`train.steps`, or as many as `train.epochs` passes take."""
    if recipe.train.steps:
        return recipe.train.steps
    rows = sum(len(source) for source in sources)
    per_step = recipe.train.batch_size * recipe.train.accumulation * world
    return max(1, math.ceil(recipe.train.epochs * rows / per_step))


def interleaved(sources: Sequence[Source]) -> Iterator[str]:
    """Documents of all sources in turn, so that a limit cuts none of them off."""
    running = [source.documents() for source in sources]
    while running:
        for documents in list(running):
            text = next(documents, None)
            if text is None:
                running.remove(documents)
            else:
                yield text
