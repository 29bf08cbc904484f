"""An experiment: a TOML file in `experiments/`, and its result, a JSON file in `experiments/results/`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from splade_engine import __version__
from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.files import digest_of_file, digest_of_json, read_json, read_toml, write_text

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "experiments"
RESULTS = FOLDER / "results"
HOLDS = ("yes", "in part", "no", "not shown")
# packages whose code decides the numbers of each kind, beside the kind's own
_USED = ("vectors", "encoder", "collections", "training")
_CODE = {"search": (*_USED, "index", "engine", "eval"), "codes": (*_USED, "index")}


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
    # Whether the claim held here, one of HOLDS, and what came out, written by a person who has read the
    # numbers; a blank line between two paragraphs. Empty before the first run.
    holds: str = ""
    reading: str = ""
    # What the kind takes.
    settings: Mapping[str, Any] = None  # type: ignore[assignment]
    # What is compared: each has a name, the rest is the kind's.
    runs: tuple[Mapping[str, Any], ...] = ()

    @property
    def digest(self) -> str:
        """Of what decides the numbers; a result carries it."""
        return digest_of_json([self.kind, dict(self.settings), [dict(run) for run in self.runs]])


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
    if name not in names():
        raise InvalidInputError(f"experiment {name:.60}: not one of {', '.join(names())}")
    table = read_toml(path)
    known = {f.name for f in fields(Experiment)} - {"name"}
    for key in {"paper", "claim", "differs", "kind", "runs"} - set(table):
        raise InvalidInputError(f"{path}: the field {key} is missing")
    for key in set(table) - known:
        raise InvalidInputError(f"{path}: no such field {key}; there are {', '.join(sorted(known))}")
    for key, value in table.items():
        wanted = {"runs": list, "settings": dict}.get(key, str)
        if not isinstance(value, wanted):
            raise InvalidInputError(f"{path}: {key} must be a {wanted.__name__}, got {shown(value)}")
    if table.get("holds", "") not in ("", *HOLDS):
        raise InvalidInputError(f"{path}: holds must be one of {', '.join(HOLDS)}")
    runs = tuple(table.pop("runs"))
    if not runs or not all(isinstance(run, dict) and isinstance(run.get("name"), str) for run in runs):
        raise InvalidInputError(f"{path}: each of its runs needs a name, and there has to be one")
    if len({run["name"] for run in runs}) != len(runs):
        raise InvalidInputError(f"{path}: two of its runs have one name")
    return Experiment(name=name, runs=runs, **{"settings": {}, **table})


def machine() -> str:
    """This machine in a few words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{model}, {os.environ.get('OMP_NUM_THREADS') or os.cpu_count()} threads"


def code_of(kind: str, root: Path = ROOT) -> str:
    """A digest of the modules that decide the numbers of a kind of experiment."""
    folders = [root / "scripts" / "papers" / "kinds"]
    folders += [root / "splade_engine" / name for name in _CODE.get(kind, _USED)]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return digest_of_json([[path.relative_to(root).as_posix(), digest_of_file(path)] for path in files])[:12]


def write_result(
    experiment: Experiment, rows: list[dict[str, Any]], seconds: float, processor: float
) -> None:
    """Keep the numbers of an experiment, what made them, and the seconds by the clock and of processors."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    made_from = {"experiment": experiment.name, "made_from": experiment.digest}
    took = {"seconds": round(seconds), "processor_seconds": round(processor)}
    made_with = {"version": __version__, "code": code_of(experiment.kind)}
    record = {**made_from, "made_with": made_with, "machine": machine(), **took, "runs": rows}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_text(RESULTS / f"{experiment.name}.json", text)


def outdated() -> list[str]:
    """The experiments that have been run with other code than today's, or before results named their code."""
    found = {name: read_result(name) for name in names()}
    return [
        name
        for name, result in found.items()
        if result and result.get("made_with", {}).get("code") != code_of(load(name).kind)
    ]


def read_result(name: str) -> dict[str, Any] | None:
    """The numbers of an experiment; None where it was not run.

    Raises:
        InvalidInputError: the file is damaged, or of another state of the experiment.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("runs"), list):
        raise InvalidInputError(f"{path}: no result of an experiment; run it again")
    # results from before they carried a digest are taken as they are
    if found.get("made_from", digest := load(name).digest) != digest:
        raise InvalidInputError(f"{path}: the experiment was changed since; run it again")
    return found
