"""An experiment: a TOML file in `experiments/`, and its result, a JSON file in `experiments/results/`."""

from __future__ import annotations

import json
import os
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
RESULTS = FOLDER / "results"


@dataclass(frozen=True)
class Experiment:
    """What is run for a paper; see the fields of a file in `experiments/`."""

    # File name without its ending.
    name: str
    # Title, authors, number.
    paper: str
    # What the paper says, in a sentence.
    claim: str
    # How this differs from the paper.
    differs: str
    # A module of `kinds/`, in its table.
    kind: str
    # What came out, written by a person who has read the numbers; empty before the first run.
    reading: str = ""
    # What the kind takes.
    settings: Mapping[str, Any] = None  # type: ignore[assignment]
    # What is compared: each has a name, the rest is the kind's.
    runs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Places:
    """Where data and models lie."""

    # Folder with `train/` and `ir/`, BEIR folders.
    data: Path
    # A real SPLADE model.
    splade: str
    # A dense model.
    dense: str
    # What is made on the way.
    work: Path
    # A collection with links.
    linked: str = ""

    def filled(self, value: Any) -> Any:
        """`{splade}`, `{dense}`, `{data}` and `{linked}` in texts, replaced."""
        if isinstance(value, str):
            for name in ("splade", "dense", "data", "linked"):
                value = value.replace("{" + name + "}", str(getattr(self, name)))
            return value
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return value


def names() -> list[str]:
    """All experiments; those of search are run by scripts/bench_search."""
    found = (path.stem for path in FOLDER.glob("*.toml"))
    return sorted(name for name in found if not name.startswith("search-"))


def load(name: str) -> Experiment:
    """An experiment by its name.

    Raises:
        InvalidInputError: naming the file and the field that is missing or unknown.
    """
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise InvalidInputError(f"experiment {name}: not one of {', '.join(names())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path}: not TOML: {error}") from None
    known = {f.name for f in fields(Experiment)} - {"name"}
    for key in {"paper", "claim", "differs", "kind", "runs"} - set(table):
        raise InvalidInputError(f"{path}: the field {key} is missing")
    for key in set(table) - known:
        raise InvalidInputError(f"{path}: no such field {key}; there are {', '.join(sorted(known))}")
    runs = tuple(table.pop("runs"))
    if not all(isinstance(run.get("name"), str) for run in runs):
        raise InvalidInputError(f"{path}: each of its runs needs a name")
    return Experiment(name=name, runs=runs, **{"settings": {}, **table})


def machine() -> str:
    """This machine in a few words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{model}, {os.environ.get('OMP_NUM_THREADS') or os.cpu_count()} threads"


def write_result(experiment: Experiment, rows: list[dict[str, Any]], seconds: float) -> None:
    """Keep the numbers of an experiment."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    record = {"experiment": experiment.name, "machine": machine(), "seconds": round(seconds), "runs": rows}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{experiment.name}.json").write_text(text, encoding="utf-8")


def read_result(name: str) -> dict[str, Any] | None:
    """The numbers of an experiment; None where it was not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
