"""Systems of `splade-engine eval` on small collections.

Settings: `collections` (folders below `ir/`), `measures`. Runs: `system`, a specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from scripts.papers.experiment import Experiment, Places
from splade_engine.eval import Settings, Workbench, evaluate, load_dataset


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    collections = experiment.settings["collections"]
    found: dict[str, dict[str, float]] = {each["name"]: {} for each in experiment.runs}
    for name in collections:
        dataset = load_dataset(places.data / "ir" / name)
        settings = Settings(dense_model=places.dense, cache=places.work / "vectors")
        with Workbench(dataset, settings) as bench:
            for each in experiment.runs:
                result = evaluate(places.filled(each["system"]), "", ["nDCG@10"], workbench=bench)
                found[each["name"]][name] = round(result.effectiveness.mean["nDCG@10"], 4)
    for name, of in found.items():
        yield {"name": name, **of, "mean": round(float(np.mean(list(of.values()))), 4)}
