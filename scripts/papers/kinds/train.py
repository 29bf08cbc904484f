"""Short training runs from one start, measured on held-out queries of the same data.

Settings: `data` (a BEIR folder below the data folder), `pairs` (how many of its pairs), `mine` (a
`MiningConfig` that makes negatives, and scores where it has a teacher), `set` (fields of all recipes). Runs:
`recipe`, `set`. A run whose recipe is `start` measures the start.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.papers.experiment import Experiment, Places
from splade_engine.errors import SpladeEngineError
from splade_engine.training import MiningConfig, load_recipe, mine, train

COMMON = {
    "model.document_length": 64,
    "model.query_length": 32,
    "model.preflight": False,
    "data.held_out": 150,
    "train.batch_size": 16,
    "train.lr": 5e-5,
    "train.steps": 80,
    "train.save_steps": 0,
    "train.log_steps": 10,
    "train.device": "cpu",
    "train.collapse_below": 1.0,
    "probe.documents": 1000,
    "probe.every": 0,
}


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = dict(experiment.settings)
    path = _pairs(places, settings["data"], settings.get("pairs", 1500))
    if "mine" in settings:
        path = _mined(places, path, {k: places.filled(v) for k, v in settings["mine"].items()})
    for each in experiment.runs:
        recipe = "l0" if each["recipe"] == "start" else each["recipe"]
        values = COMMON | {"model.base": places.splade, "data.sources": [{"path": str(path)}]}
        values |= {k: places.filled(v) for k, v in (settings.get("set", {}) | each.get("set", {})).items()}
        if each["recipe"] == "start":
            values |= {"train.steps": 1, "train.lr": 1e-12, "loss.kl": 0.0, "loss.contrastive": 1.0}
            values |= {"loss.margin_mse": 0.0, "loss.candidates": "all", "regularizer.document_terms": 0.0}
        folder = places.work / experiment.name / each["name"].replace("/", "-")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            rows = train(load_recipe(recipe).override(values), folder).rows
        except SpladeEngineError as error:
            yield {"name": each["name"], "error": str(error)}
            continue
        yield {"name": each["name"], **_numbers(rows)}


def _numbers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Held-out nDCG@10, terms and FLOPS at the end, seconds a step."""
    measured = next(row for row in reversed(rows) if "ndcg@10" in row)
    logged = [row for row in rows if "document_terms" in row]
    return {
        "nDCG@10": round(measured["ndcg@10"], 4),
        "terms a document": round(measured["probe_document_terms"], 1),
        "terms a query": round(measured["probe_query_terms"], 1),
        "FLOPS": round(logged[-1]["flops"], 3) if logged else None,
        "dead terms": int(logged[-1]["dead_terms"]) if logged else None,
        "lambda": logged[-1].get("lambda_document") if logged else None,
    }


def _pairs(places: Places, folder: str, count: int) -> Path:
    """`count` judged pairs of a BEIR folder as JSONL, always the same ones."""
    from splade_engine.training.data.sources import BeirSource

    path = places.work / f"{Path(folder).name}-{count}.jsonl"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        source = BeirSource(places.data / folder, places.work / "cache")
        rng = np.random.default_rng(0)
        rows = [source.example(int(i), rng) for i in rng.permutation(len(source))[:count]]
        lines = [json.dumps({"query": r.query, "positive": r.positives[0]}) for r in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _mined(places: Places, pairs: Path, values: dict[str, Any]) -> Path:
    config = MiningConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    names = "-".join((*config.retrievers, config.teacher or "none"))
    path = pairs.with_name(f"{pairs.stem}-{names}-{config.negatives}.jsonl".replace("/", "_"))
    if not path.is_file():
        mine(pairs, path, replace(config), device="cpu")
    return path
