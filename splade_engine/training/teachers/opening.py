"""From a recipe's loss section to its teachers and the query bank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from splade_engine.errors import InvalidInputError
from splade_engine.training.data.mixture import TrainingSet
from splade_engine.training.data.opening import interleaved
from splade_engine.training.data.sources import Source
from splade_engine.training.machine import choose_device
from splade_engine.training.objective.vectors import Teacher
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.teachers.cross import CrossTeacher
from splade_engine.training.teachers.dense import DenseTeacher
from splade_engine.training.teachers.lexical import LexicalTeacher
from splade_engine.training.teachers.query_bank import QueryBank
from splade_engine.training.teachers.sparse import SparseTeacher


def load_teacher(name: str, *, device: str | torch.device = "cpu", documents: Iterable[str] = ()) -> Teacher:
    """The teacher of that name.

    Args:
        name: see the module.
        device: where neural teachers run.
        documents: the training documents, which `bm25` counts.

    Raises:
        InvalidInputError: for an unknown name.
        CheckpointError: if its model cannot be loaded.
    """
    kind, _, where = name.partition(":")
    if kind == "bm25" and not where:
        return LexicalTeacher(documents)
    if kind == "dense" and where:
        return DenseTeacher(where, device=device)
    if kind == "sparse" and where:
        return SparseTeacher(where, device=device)
    if kind == "cross" and where:
        return CrossTeacher(where, device=device)
    raise InvalidInputError(
        f"loss.teachers: {name!r} is none of bm25, dense:MODEL, sparse:MODEL, cross:MODEL"
    )


def load_teachers(recipe: Recipe, sources: Sequence[Source]) -> list[Teacher]:
    """The recipe's teachers."""
    if not recipe.loss.teachers:
        return []
    device = choose_device(recipe.train.device)
    return [
        load_teacher(name, device=device, documents=interleaved(sources)) for name in recipe.loss.teachers
    ]


def query_bank(recipe: Recipe, data: TrainingSet, teachers: Sequence[Teacher]) -> QueryBank | None:
    """The bank of `loss.bank`: the queries of every source but held-out ones; None where it is not asked for.

    Raises:
        InvalidInputError: if no teacher is dense, or queries are encoded and not looked up.
    """
    if not recipe.loss.bank:
        return None
    dense = dense_teacher(recipe, teachers, "loss.bank")
    return QueryBank(_queries(data), dense, recipe.loss.bank_queries)


def dense_teacher(recipe: Recipe, teachers: Sequence[Teacher], what: str) -> DenseTeacher:
    """The first dense one; `what` needs it, and queries from a table.

    Raises:
        InvalidInputError: if either is missing.
    """
    dense = next((teacher for teacher in teachers if isinstance(teacher, DenseTeacher)), None)
    if dense is None or recipe.model.query != "table":
        missing = "model.query = table" if dense else "a dense teacher in loss.teachers"
        raise InvalidInputError(f"recipe {recipe.name}: {what} needs {missing}")
    return dense


def _queries(data: TrainingSet) -> Iterator[str]:
    rng = np.random.default_rng(0)
    away = set(data.held_out_rows())
    for k, source in enumerate(data.sources):
        for i in range(len(source)):
            example = None if k == 0 and i in away else source.example(i, rng)
            if example is not None:
                yield example.query
