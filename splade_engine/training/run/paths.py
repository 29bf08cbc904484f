"""The paths of a recipe: absolute when a run begins, and perhaps other ones when it is resumed elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from splade_engine.arguments import shown
from splade_engine.encoder.folders.hub import is_bundled
from splade_engine.errors import InvalidInputError
from splade_engine.files import expanded
from splade_engine.training.recipe import Recipe

logger = logging.getLogger(__name__)
_NO_FILE = ("auto", "data", "uniform", "base")  # what model.idf may be beside a file
Change = Callable[[str], str]
Moved = Mapping[str, str | Path]
"""Where files and folders lie now, by where they lay when the run began; of a folder all that is in it."""


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Local paths made absolute, so that a run can be resumed from anywhere."""

    def absolute(path: str) -> str:
        local = expanded(path)
        return str(local.absolute()) if path and local.exists() else path

    return _with_paths(recipe, absolute, lambda name: name if is_bundled(name) else absolute(name))


def with_moved_paths(recipe: Recipe, moved: Moved) -> Recipe:
    """The recipe of a run that is resumed, with paths as they are now.

    Raises:
        InvalidInputError: nothing lies at a new place, or nothing of the recipe lay at an old one; something
            that the recipe reads lies nowhere.
    """
    paths: list[str] = []

    def noted(path: str) -> str:
        paths.append(path)
        return path

    _with_paths(recipe, noted, noted)
    for old, new in moved.items():
        if not Path(new).exists():
            raise InvalidInputError(f"moved: {new}: no such file or folder")
        if all(moved_path(path, {old: new}) == path for path in paths):
            raise InvalidInputError(f"moved: the run reads nothing at {shown(old)}, but {', '.join(paths)}")
    for path in [moved_path(path, moved) for path in paths]:
        if Path(path).is_absolute() and not Path(path).exists():
            raise InvalidInputError(
                f"{path}: is not there any more; if it lies elsewhere now: --resume --moved {path}=PATH, or "
                "the same of a folder above it"
            )
    if moved:
        logger.warning(
            "the run goes on with what lies elsewhere now, if its content is the same: %s",
            ", ".join(f"{new} (was {old})" for old, new in moved.items()),
        )

    def now(path: str) -> str:
        return moved_path(path, moved)

    return _with_paths(recipe, now, now)


def moved_path(path: str, moved: Moved) -> str:
    """Where a file lies now."""
    for old, new in moved.items():
        if Path(path).is_absolute() and Path(path).is_relative_to(old):
            return str(Path(new).absolute() / Path(path).relative_to(old))
    return path


def _with_paths(recipe: Recipe, data: Change, models: Change) -> Recipe:
    """The recipe with what may be a path of data, or of a model, changed."""

    def taught(teacher: str) -> str:
        kind, colon, name = teacher.partition(":")
        return f"{kind}:{models(name)}" if colon else kind

    sources = tuple(
        replace(
            source,
            path=data(source.path),
            corpus=source.corpus and data(source.corpus),
            queries=source.queries and data(source.queries),
            negatives=source.negatives and data(source.negatives),
        )
        for source in recipe.data.sources
    )
    model = recipe.model
    model = replace(
        model,
        base=model.base and models(model.base),
        query_base=model.query_base and models(model.query_base),
        idf=model.idf if model.idf in _NO_FILE else data(model.idf),
    )
    return replace(
        recipe,
        data=replace(recipe.data, sources=sources),
        model=model,
        loss=replace(recipe.loss, teachers=tuple(map(taught, recipe.loss.teachers))),
        probe=replace(recipe.probe, data=recipe.probe.data and data(recipe.probe.data)),
    )
