"""What a run is made from, as digests: a run that is resumed must find it as it was.

RUN/run.json names every file that the run reads (data, base model, query table, teachers, the probe's
collection, the recipe) with the digest of its bytes, and the processes and packages that it was begun with. A
resumed run compares them before it trains: examples are found by their number, so that a changed or reordered
file would give other ones without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from splade_engine import __version__
from splade_engine.arguments import shown
from splade_engine.collections.beir import corpus_file, qrels_file, queries_file
from splade_engine.errors import InvalidInputError
from splade_engine.files import digest, digest_of_file, ours, read_json, write_json
from splade_engine.training.data.sources import Source
from splade_engine.training.digests import changed, digests_of_models
from splade_engine.training.machine import world_size
from splade_engine.training.recipe import Recipe
from splade_engine.training.run.paths import Moved, moved_path

logger = logging.getLogger(__name__)

RUN = ours.TRAINING_RUN_INPUTS
_MADE_WITH, _PROCESSES = "made_with", "processes"


def run_inputs(recipe: Recipe, sources: Sequence[Source], stored: bytes | None = None) -> dict[str, str]:
    """The digest of everything that a run with this recipe reads, by the name that the user knows it by.

    Args:
        recipe: with the paths that are read.
        sources: opened.
        stored: the recipe's file in the folder of a run that is resumed; None for a new run.

    Raises:
        CheckpointError: if a model is not there.
        InvalidInputError: if a path of the recipe is not UTF-8, which a TOML file cannot hold.
    """
    try:
        written = recipe.to_toml().encode() if stored is None else stored
    except UnicodeEncodeError as error:
        found = ascii(error.object[max(0, error.start - 40) : error.end + 20])
        raise InvalidInputError(
            f"recipe {recipe.name}: a name that is not UTF-8 ({found}) cannot be written into a recipe; "
            "rename the file"
        ) from None
    out: dict[str, str] = {"recipe.toml": digest(written)}
    for source in sources:
        out |= source.digests()
    model = recipe.model
    bases = [model.base, *([model.query_base] if model.query == "separate" else [])]
    taught = [name.partition(":")[2] for name in recipe.loss.teachers]
    out |= digests_of_models([*bases, *taught])
    if model.query in ("auto", "table") and Path(model.idf).is_file():
        out[model.idf] = digest_of_file(Path(model.idf))
    if recipe.probe.data:
        folder = Path(recipe.probe.data)
        files = (corpus_file(folder), queries_file(folder), qrels_file(folder, "test"))
        out |= {str(path): digest_of_file(path) for path in files}
    return out


def write_inputs(folder: Path, inputs: dict[str, str], steps: int) -> None:
    """Note what a new run in `folder` is made from, and how many optimiser steps it has."""
    write_json(folder / RUN, {"format": 1, "steps": steps, _MADE_WITH: _made_with(), "inputs": inputs})


def run_steps(folder: Path) -> int:
    """Optimiser steps of the run in `folder`; 0 where that is not noted."""
    noted: Any = read_json(folder / RUN) if (folder / RUN).is_file() else None
    steps = noted.get("steps") if isinstance(noted, dict) else None
    return steps if type(steps) is int else 0


def check_inputs(folder: Path, inputs: dict[str, str], moved: Moved) -> None:
    """Compare with what was noted when the run began; other versions of packages are told.

    Args:
        folder: of the run.
        inputs: what `run_inputs` finds now.
        moved: where files lie now that lay elsewhere then.

    Raises:
        InvalidInputError: naming what has changed since; the number of processes, which divide the examples
            among them, is another.
    """
    noted = _noted(folder)
    if noted is None:
        logger.warning("%s: no %s, so it cannot be checked whether the data is as it was", folder, RUN)
        return
    if isinstance(noted.get(_MADE_WITH), dict):  # earlier releases did not note it
        _check_made_with(folder, noted[_MADE_WITH])
    begun = {moved_path(name, moved): value for name, value in noted["inputs"].items()}
    if (what := changed(begun, inputs)) is not None:
        raise InvalidInputError(
            f"{what}: changed since the run in {folder} began, whose steps so far were made from the old "
            "content; restore it to resume, or start a new run in another folder"
        )


def _made_with() -> dict[str, str | int]:
    """What decides a run beside its inputs: the number of processes, and the versions of packages."""
    found: dict[str, str | int] = {_PROCESSES: world_size(), "splade-engine": __version__}
    return found | {name: metadata.version(name) for name in ("torch", "transformers")}


def _check_made_with(folder: Path, then: dict[str, Any]) -> None:
    now = _made_with()
    if (processes := then.get(_PROCESSES)) != now[_PROCESSES]:
        raise InvalidInputError(
            f"{folder}: {shown(processes)} when the run began, now {now[_PROCESSES]}: the number of "
            "processes (torchrun --nproc-per-node), among which the examples are divided; resume with as "
            "many, or start a new run in another folder"
        )
    other = [
        f"{name} {shown(then.get(name))}, now {now[name]}" for name in now if then.get(name) != now[name]
    ]
    if other:
        logger.warning(
            "%s: begun with other versions (%s); the result may differ from that of a run that was not "
            "interrupted",
            *(folder, "; ".join(other)),
        )


def check_recipe(folder: Path, recipe: Path) -> None:
    """Compare the recipe's bytes with what was noted when the run began, before they are understood.

    A file that was cut short can still be TOML, and what it lacks would be asked for.

    Raises:
        InvalidInputError: they are others.
    """
    noted = _noted(folder)
    if noted is not None and noted["inputs"].get(recipe.name) != digest_of_file(recipe):
        raise InvalidInputError(
            f"{recipe}: changed since the run in {folder} began, or damaged ({recipe.stat().st_size:,} bytes "
            f"that have not the digest in {RUN}); restore it to resume, or start a new run in another folder"
        )


def _noted(folder: Path) -> dict[str, Any] | None:
    """What was noted when the run began, digests as `inputs`; None where it has no record.

    Raises:
        InvalidInputError: the record is damaged.
    """
    path = folder / RUN
    if not path.is_file():
        return None
    try:
        noted: Any = read_json(path)
        reason = "no digests in it"
    except InvalidInputError as error:
        noted, reason = None, str(error).removeprefix(f"{path}: ")
    if not isinstance(noted, dict) or not isinstance(noted.get("inputs"), dict):
        raise InvalidInputError(
            f"{path}: damaged ({reason}); without it nobody can tell whether the data is as it was; restore "
            "it to resume, or start a new run in another folder"
        )
    return noted


def digest_of_run(folder: Path) -> str:
    """Which run this is: its checkpoints carry it, so that another run's are not taken for them."""
    path = folder / RUN
    return digest_of_file(path) if path.is_file() else ""
