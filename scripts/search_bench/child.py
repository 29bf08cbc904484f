"""One built index in a process of its own, which does what the parent asks for, a line at a time.

Requests are JSON lists on stdin, answers JSON lines on stdout: ["grid"] runs every setting, ["time", WORDS]
one of them once, ["calls", WORDS] single calls and all cores.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from search_bench.documents import Documents
from search_bench.engine import Batch, Ordinals, engine_of
from search_bench.truth import recall
from splade_engine.vectors import SparseVectors

REPEATS = 1  # of a setting in the grid, after a first run that warms the caches
SINGLE_CALLS = 300


def serve(
    name: str, build: str, docs: Documents, queries: SparseVectors, truth: Ordinals, folder: Path
) -> None:
    """Build or open, then answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # peers print what they do
    engine = engine_of(name)(docs, queries, truth.shape[1], folder, build)
    settings = {setting.words: setting for setting in engine.settings()}
    print(json.dumps(asdict(engine.built)), file=answers, flush=True)
    for line in sys.stdin:
        what, *words = json.loads(line)
        reply: Any = {}
        if what == "grid":
            runs = []
            for setting in settings.values():
                share = recall(setting.batch(), truth)
                us = fastest(setting.batch, time.process_time, REPEATS) / len(queries) * 1e6
                runs.append({"settings": setting.words, "recall": share, "us": us, "scored": engine.scored})
            reply = {"runs": runs, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        elif what == "time":
            reply = fastest(settings[words[0]].batch, time.process_time, 1) / len(queries) * 1e6
        else:
            setting = settings[words[0]]
            if setting.single is not None:
                reply["p50"], reply["p99"] = single_calls(setting.single, len(queries))
            if setting.everywhere is not None:
                setting.everywhere()
                one, many = (
                    fastest(call, time.perf_counter, 3) for call in (setting.batch, setting.everywhere)
                )
                reply |= {"all_cores": len(queries) / many, "linear": one / many / (os.cpu_count() or 1)}
        print(json.dumps(reply), file=answers, flush=True)


def fastest(call: Batch, clock: Callable[[], float], repeats: int) -> float:
    """Seconds of the fastest of a few calls."""
    times = []
    for _ in range(repeats):
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
