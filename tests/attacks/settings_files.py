"""Files of settings with one value exchanged: recipes, suites, the records of results and of a training run.

Each is read as it is, or refused with one line. Lost is whatever else is raised, and messages of several
lines, of a thousand characters or with escape sequences.
"""

from __future__ import annotations

import copy
import json
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splade_engine.errors import SpladeEngineError
from splade_engine.eval.run.store import FORMAT, ResultFolder
from splade_engine.eval.run.suite import Suite, load_suite, suite_names
from splade_engine.training.recipe.recipe import RECIPES, load_recipe, recipe_names
from splade_engine.training.recipe.values import toml_value
from tests.attacks.trials import Tally, scratch

LONGEST = 1000
VALUES: tuple[Any, ...] = (
    None, True, False, "", "x", " ", "../../outside", "/etc/passwd", "\x1b[31mred", "a\nb", "a" * 20_000,
    [], {}, [[]], [None], {"a": 1}, float("nan"), float("inf"), -float("inf"), "\0", "bundled",
    "nDCG@10",
    0, -1, 1, 2, 10**9, 2**31, 2**63, 10**30, 10**400, 0.5, 1.5, 1e308, -0.5, "1", "nan",
)  # fmt: skip


def damaged(count: int, seed: int) -> Tally:
    """`count` trials, from a seed on."""
    tally = Tally()
    rng = random.Random(seed)
    with scratch() as folder:
        for _ in range(count):
            name = rng.choice(sorted(READERS))
            tally.trials += 1
            state = rng.getrandbits(64)
            outcome = _trial(READERS[name], folder, random.Random(state))
            tally.outcomes[f"{name}: {outcome.partition(':')[0]}"] += 1
            if outcome.startswith("LOST"):
                tally.losses.append(f"seed {seed}, {name} {state}: {outcome}")
    return tally


def _trial(reader: Callable[[Path, random.Random], object], folder: Path, rng: random.Random) -> str:
    try:
        reader(folder, rng)
    except SpladeEngineError as error:
        text = str(error)
        if "\n" in text or "\x1b" in text or len(text) > LONGEST:
            return f"LOST: not one short line: {text[:300]!r}"
        return "refused"
    except BaseException as error:
        return f"LOST: {type(error).__name__}: {str(error)[:200]}"
    return "read"


def exchanged(value: Any, rng: random.Random) -> Any:
    """A copy with one value somewhere in it exchanged, taken out, or renamed."""
    made = copy.deepcopy(value)
    owner, key = made, None
    while isinstance(owner, dict | list) and owner:
        key = rng.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        if not isinstance(owner[key], dict | list) or not owner[key] or rng.random() < 0.2:
            break
        owner = owner[key]
    if key is None:
        return rng.choice(VALUES)
    if rng.random() < 0.15:
        del owner[key]
    elif isinstance(owner, dict) and rng.random() < 0.15:
        owner[rng.choice(["x", "", "\x1b[31m", "a" * 20_000, "0", "name"])] = owner.pop(key)
    else:
        owner[key] = rng.choice(VALUES)
    return made


def as_toml(table: dict[str, Any]) -> str:
    """A file that holds a table; values that TOML has no word for are left out."""
    lines, later = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            later += [f"[{json.dumps(key)}]", as_toml(value)]
        elif isinstance(value, list) and value and all(isinstance(v, dict) and v for v in value):
            later += [line for v in value for line in (f"[[{json.dumps(key)}]]", as_toml(v))]
        else:
            try:
                lines.append(f"{json.dumps(key)} = {_toml(value)}")
            except (TypeError, ValueError):
                continue
    return "\n".join([*lines, *later])


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return toml_value(value)


def _recipe(folder: Path, rng: random.Random) -> object:
    table = tomllib.loads((RECIPES / f"{rng.choice(recipe_names())}.toml").read_text())
    path = folder / "r.toml"
    path.write_text(as_toml(exchanged(table, rng)))
    recipe = load_recipe(path)
    return recipe.to_toml(explain=True)


def _whole_recipe(folder: Path, rng: random.Random) -> object:
    table = tomllib.loads(load_recipe(rng.choice(recipe_names())).to_toml())
    path = folder / "w.toml"
    path.write_text(as_toml(exchanged(table, rng)))
    return load_recipe(path).to_toml()


def _suite(folder: Path, rng: random.Random) -> object:
    record = load_suite(rng.choice(suite_names())).record()
    table = {k: v for k, v in record.items() if k != "suite" and v is not None}
    table["collections"] = [
        {k: v for k, v in c.items() if v not in (None, "")} for c in record["collections"]
    ]
    path = folder / "s.toml"
    path.write_text(
        as_toml(json.loads(json.dumps(exchanged(json.loads(json.dumps(table)), rng), default=str)))
    )
    return Suite.from_record(load_suite(path).record())


def _experiment(folder: Path, rng: random.Random) -> object:
    from splade_engine.eval.run.experiment import Experiment
    from splade_engine.eval.systems.bench import Settings

    record = {
        "format": FORMAT,
        "data": None,
        **Settings().record(),
        **load_suite(rng.choice(suite_names())).record(),
    }
    (folder / "experiment.json").write_text(json.dumps(exchanged(json.loads(json.dumps(record)), rng)))
    return Experiment.from_record(ResultFolder.open(folder).experiment(), Settings())


READERS: dict[str, Callable[[Path, random.Random], object]] = {
    "recipe": _recipe, "whole recipe": _whole_recipe, "suite": _suite, "experiment": _experiment,
}  # fmt: skip
