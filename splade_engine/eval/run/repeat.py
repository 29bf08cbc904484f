"""Repeating an evaluation from its result folder, and saying whether the numbers agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.errors import DatasetError, SpladeEngineError
from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.machine import versions
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.store import ResultFolder
from splade_engine.eval.run.suite import Collection, Suite
from splade_engine.eval.systems.base import parse_system
from splade_engine.files import digest_of_json

if TYPE_CHECKING:
    from splade_engine.eval.systems.bench import Settings

_HOW = ("settings", "collection", "data")  # of what a result was made with: what it takes to make it again
TOLERANCE = 5e-4  # the encoder's rounding moves a near-tie now and then; a changed model or corpus moves more


@dataclass(frozen=True)
class Agreement:
    """`agrees` if every number of every result was found again; `lines` say what was compared."""

    agrees: bool
    lines: list[str]


def repeat(folder: str | Path, settings: Settings) -> Agreement:
    """Evaluate anew what a result folder holds (nothing is written to it) and compare the means.

    Each result is made as it was: a folder may have been filled by several commands, with other settings.

    Raises:
        DatasetError: if it is no result folder.
        SpladeEngineError: if all of it is of one collection and cannot be evaluated.
    """
    stored = ResultFolder.open(folder)
    record = stored.experiment()
    old = {(r.dataset, r.system): r for r in stored.results()}
    made = {place: stored.made(result) for place, result in old.items()}
    experiments = _experiments(record, old, made, settings)
    new: dict[tuple[str, str], Result] = {}
    skipped: dict[str, str] = {}
    for experiment in experiments:
        try:
            outcome = run_experiment(experiment)
        except SpladeEngineError as error:
            if len(experiments) == 1:
                raise
            skipped |= {collection.name: str(error) for collection in experiment.suite.collections}
            continue
        new |= {(r.dataset, r.system): r for r in outcome.results}
        skipped |= outcome.skipped
    versions_then = [m.get("versions", {}) for m in (*made.values(), record)]
    lines = list(dict.fromkeys(line for then in versions_then for line in _version_lines(then)))
    agrees = True
    for place, result in old.items():
        again = new.get(place)
        name = f"{place[0]} / {place[1]}"
        if again is None:
            agrees = False
            reason = skipped.get(place[0]) or skipped.get(name) or "not in the last command"
            lines.append(f"{name}: not found again ({reason})")
            continue
        differences = _differences(result, again)
        agrees &= not differences
        lines.append(f"{name}: " + ("; ".join(differences) if differences else "agrees"))
    lines.append("all numbers agree" if agrees else "the numbers do not all agree")
    return Agreement(agrees, lines)


def _experiments(
    record: Mapping[str, Any],
    results: Mapping[tuple[str, str], Result],
    made: Mapping[tuple[str, str], Mapping[str, Any]],
    settings: Settings,
) -> list[Experiment]:
    """What has to be run: the results of one collection, depth and settings together.

    Earlier releases noted no settings with a result; those are of the last command.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for place, result in results.items():
        how = {name: made[place][name] for name in _HOW if name in made[place]}
        if len(how) == len(_HOW):
            alike.setdefault(digest_of_json([how, result.k]), []).append(place)
    found = []
    for places in alike.values():
        as_made, first = made[places[0]], results[places[0]]
        of = [results[place] for place in places]
        try:
            suite = Suite(
                name=first.dataset,
                collections=(Collection.from_record(as_made["collection"]),),
                systems=tuple(map(_specification, of)),
                measures=tuple(dict.fromkeys(name for r in of for name in r.effectiveness.mean)),
                k=first.k,
            )
            data = None if as_made["data"] is None else Path(as_made["data"])
            found.append(Experiment(suite, settings.as_recorded(as_made["settings"]), data))
        except (KeyError, TypeError) as error:
            raise DatasetError(
                f"{first.dataset} / {first.system}: not made as results are ({type(error).__name__}: {error})"
            ) from None
    if sum(map(len, alike.values())) < len(results):
        found.append(Experiment.from_record(record, settings))
    return found


def _specification(result: Result) -> str:
    """The system of a result as `parse_system` reads it, under the same name."""
    named = parse_system(result.spec).title == result.system
    return result.spec if named else f"{result.system}: {result.spec}"


def _version_lines(old: dict[str, str]) -> list[str]:
    now = versions()
    changed = [
        f"{name} {old[name]}, now {now.get(name, 'absent')}" for name in old if old[name] != now.get(name)
    ]
    return [f"other versions than then: {'; '.join(changed)}"] if changed else []


def _differences(old: Result, new: Result) -> list[str]:
    out = [
        f"{name} was {old.hashes.get(name)}, now {new.hashes.get(name)}"
        for name in sorted({*old.hashes, *new.hashes})
        # another version may store the same vectors in other bytes; that alone is no disagreement
        if name != "index" and old.hashes.get(name) != new.hashes.get(name)
    ]
    if old.drop_own_id is not None and old.drop_own_id != new.drop_own_id:
        out.append("own ids were dropped, now kept" if old.drop_own_id else "own ids were kept, now dropped")
    for name, value in old.effectiveness.mean.items():
        again = new.effectiveness.mean.get(name)
        if again is None or abs(again - value) > TOLERANCE:
            out.append(f"{name} was {value:.4f}, now {'missing' if again is None else f'{again:.4f}'}")
    return out
