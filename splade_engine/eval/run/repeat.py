"""Repeating an evaluation from its result folder, and saying whether the numbers agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.eval.run.experiment import Experiment, run_experiment
from splade_engine.eval.run.machine import versions
from splade_engine.eval.run.results import Result
from splade_engine.eval.run.store import ResultFolder

if TYPE_CHECKING:
    from splade_engine.eval.systems.bench import Settings

TOLERANCE = 5e-4  # the encoder's rounding moves a near-tie now and then; a changed model or corpus moves more


@dataclass(frozen=True)
class Agreement:
    """`agrees` if every number of every result was found again; `lines` say what was compared."""

    agrees: bool
    lines: list[str]


def repeat(folder: str | Path, settings: Settings) -> Agreement:
    """Run the experiment of a result folder anew (nothing is written to it) and compare its means.

    Raises:
        DatasetError: if it is no result folder.
    """
    stored = ResultFolder.open(folder)
    record = stored.experiment()
    old = {(r.dataset, r.system): r for r in stored.results()}
    experiment = Experiment.from_record(record, settings)
    outcome = run_experiment(experiment)
    new = {(r.dataset, r.system): r for r in outcome.results}
    lines = _version_lines(record.get("versions", {}))
    agrees = True
    for place, result in old.items():
        again = new.get(place)
        name = f"{place[0]} / {place[1]}"
        if again is None:
            agrees = False
            lines.append(f"{name}: not found again ({outcome.skipped.get(place[0], 'skipped')})")
            continue
        differences = _differences(result, again)
        agrees &= not differences
        lines.append(f"{name}: " + ("; ".join(differences) if differences else "agrees"))
    lines.append("all numbers agree" if agrees else "the numbers do not all agree")
    return Agreement(agrees, lines)


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
