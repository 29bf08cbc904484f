"""Kinds of experiment: a function (experiment, places) -> one dict of numbers a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from scripts.papers.experiment import Experiment, Places
from splade_engine.errors import InvalidInputError

KINDS = ("train", "search", "codes", "pruning", "phrases")


def rows_of(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """The numbers of each run, as they come.

    Raises:
        InvalidInputError: for an unknown kind.
    """
    if experiment.kind not in KINDS:
        raise InvalidInputError(
            f"experiment {experiment.name}: kind {experiment.kind!r} is not one of {', '.join(KINDS)}"
        )
    run: Callable[[Experiment, Places], Iterator[dict[str, Any]]] = import_module(
        f"scripts.papers.kinds.{experiment.kind}"
    ).run
    return run(experiment, places)
