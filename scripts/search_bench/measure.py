"""Measure engines beside each other: each over its whole grid first, then the best settings of all in turns.

A grid takes minutes, and what a shared machine does meanwhile differs from engine to engine. So the grids
only tell which settings can be the cheapest for a recall. These contenders then run in rounds, one engine
after the other in each, and the median over the rounds is the time that counts. The grids are kept in the
work folder, one file an engine and build: a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TARGETS = (0.90, 0.95, 0.98, 0.99)
EXACT = 0.998  # recall of exact search, up to the precision that is stored
CONTENDERS = 3  # settings of an engine for each recall
Run = dict[
    str, Any
]  # a setting: build, settings, recall, us, scored; the best ones p50, p99, all_cores, linear
Result = dict[
    str, Any
]  # engine, runs, builds (each: build, seconds, cpu, bytes, peak); documents, queries, k


class Child:
    """A process that holds one built index (`child.py`)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.built = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"exit code {self.process.wait()}")
        return json.loads(line)

    def ask(self, *request: str) -> Any:
        """Send one request, and wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()


class Bench(NamedTuple):
    """What is measured: the command that starts a child, where grids are kept, and under which name."""

    command: list[str]
    work: Path
    key: str

    @contextmanager
    def child(self, engine: str, build: str) -> Iterator[Child]:
        """A child, ended afterwards."""
        command = [*self.command, "--one", engine, "--build", build]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield Child(process)
            finally:
                assert process.stdin is not None
                process.stdin.close()

    def grid(self, engine: str, build: str, again: bool) -> Result:
        """All settings of one build, measured now or in an earlier run."""
        kept = self.work / "grids" / f"{engine}-{build}-{self.key}.json"
        if again or not kept.exists():
            with self.child(engine, build) as child:
                found = child.ask("grid")
                result = {"build": build, **child.built, **found}
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(result))
        found = json.loads(kept.read_text())
        return {**found, "runs": [{"build": build, **run} for run in found["runs"]]}


def measure(bench: Bench, builds: dict[str, list[str]], again: list[str], rounds: int) -> list[Result]:
    """Every engine at each of its builds; an engine that cannot be started is left out with a line."""
    results = []
    for engine, names in builds.items():
        grids = []
        for name in names:
            try:
                grids.append(bench.grid(engine, name, engine in again))
            except ChildProcessError as error:
                print(f"{engine} ({name}): left out ({error})", file=sys.stderr)
        if grids:
            runs = [run for grid in grids for run in grid.pop("runs")]
            results.append({"engine": engine, "builds": grids, "runs": runs})
    if rounds > 0:
        run_in_turns(bench, results, rounds)
    return results


def run_in_turns(bench: Bench, results: list[Result], rounds: int) -> None:
    """Time the contenders of all engines in rounds, and put the medians in place of the grids' times."""
    with ExitStack() as stack:
        children: dict[tuple[str, str], Child] = {}
        contenders = {result["engine"]: contenders_of(result["runs"]) for result in results}
        for engine, runs in contenders.items():
            for build in dict.fromkeys(run["build"] for run in runs):
                children[engine, build] = stack.enter_context(bench.child(engine, build))
        times: dict[tuple[str, str, str], list[float]] = {}
        for _ in range(rounds):
            for engine, runs in contenders.items():
                for run in runs:
                    words = run["settings"]
                    us = children[engine, run["build"]].ask("time", words)
                    times.setdefault((engine, run["build"], words), []).append(us)
        for engine, runs in contenders.items():
            for run in runs:
                run["grid_us"], run["contends"] = run["us"], True
                run["us"] = float(np.median(times[engine, run["build"], run["settings"]]))
            for best in chosen(runs):
                if best is not None and "p50" not in best:
                    best |= children[engine, best["build"]].ask("calls", best["settings"])


def contenders_of(runs: list[Run]) -> list[Run]:
    """The few cheapest settings for each recall, by the grid."""
    found: list[Run] = []
    for target in (*TARGETS, EXACT):
        good = sorted((run for run in runs if run["recall"] >= target), key=lambda run: run["us"])
        found += [run for run in good[:CONTENDERS] if not any(run is other for other in found)]
    return found


def chosen(runs: list[Run]) -> list[Run | None]:
    """The fastest run for each target, then for exact search; None where no run reaches it.

    Where contenders were timed in turns, only they count.
    """
    out = []
    timed = [run for run in runs if run.get("contends")] or runs
    for target in (*TARGETS, EXACT):
        good = [r for r in timed if r["recall"] >= target]
        out.append(min(good, key=lambda r: r["us"]) if good else None)
    return out
