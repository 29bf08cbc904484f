"""Run one engine over its grid: CPU time of every setting, wall time of the best ones."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from search_bench.engine import Batch, Ordinals, engine_of
from search_bench.truth import recall
from splade_engine.vectors import SparseVectors

TARGETS = (0.90, 0.95, 0.98, 0.99)
EXACT = 0.998  # recall of exact search, up to the precision that is stored
REPEATS = 3
SINGLE_CALLS = 300
Run = dict[str, Any]  # one setting: settings, recall, us, scored; the chosen ones p50, p99, all_cores, linear
Result = dict[str, Any]  # one engine: engine, build, bytes, peak, runs


def measure(name: str, docs: SparseVectors, queries: SparseVectors, truth: Ordinals, work: Path) -> Result:
    """Build one engine and run its grid; the result is plain JSON."""
    engine = engine_of(name)(docs, queries, truth.shape[1], work)
    del docs
    runs: list[Run] = []
    for setting in engine.settings():
        found = setting.batch()  # the first run warms the caches
        share, best = recall(found, truth), fastest(setting.batch, time.process_time)
        runs.append(
            {
                "settings": setting.words,
                "recall": share,
                "us": best / len(queries) * 1e6,
                "scored": engine.scored,
            }
        )
    kept = [run["settings"] for run in chosen(runs) if run is not None]
    for setting in engine.settings():
        if setting.words not in kept:
            continue
        run = next(r for r in runs if r["settings"] == setting.words)
        if setting.single is not None:
            run["p50"], run["p99"] = single_calls(setting.single, len(queries))
        if setting.everywhere is not None:
            setting.everywhere()
            one, many = fastest(setting.batch), fastest(setting.everywhere)
            run["all_cores"], run["linear"] = len(queries) / many, one / many / (os.cpu_count() or 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"engine": name, "build": engine.build, "bytes": engine.bytes, "peak": peak, "runs": runs}


def fastest(call: Batch, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of a few calls."""
    times = []
    for _ in range(REPEATS):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def single_calls(single: Callable[[int], Any], n: int) -> tuple[float, float]:
    """Median and 99th percentile of the wall time of single calls, microseconds."""
    times = []
    for i in range(min(n, SINGLE_CALLS)):
        start = time.perf_counter()
        single(i)
        times.append((time.perf_counter() - start) * 1e6)
    return float(np.median(times)), float(np.quantile(times, 0.99))


def chosen(runs: list[Run]) -> list[Run | None]:
    """The fastest run for each target, then for exact search; None where no run reaches it."""
    out = []
    for target in (*TARGETS, EXACT):
        good = [r for r in runs if r["recall"] >= target]
        out.append(min(good, key=lambda r: r["us"]) if good else None)
    return out
