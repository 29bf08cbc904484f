"""Short training runs from one start, measured on held-out queries of the same data.

Settings: `data` (a BEIR folder below the data folder), `pairs` (how many of its pairs), `mine` (a
`MiningConfig` that makes negatives, and scores where it has a teacher), `linked` (a collection below `ir/`
whose documents link to those whose titles they hold, `{linked}` in a path), `forgotten` (how many of the
last layers of the start and its head are drawn anew, so that there is something to learn), `redrawn` (how
many of its last layers are drawn as wide as they were, with the head kept, so that texts have few terms),
`set` (fields of all recipes), `seeds` (every run is made once with each: it says which queries are held out,
what is drawn anew and the order of the rows; the numbers are means, beside them the nDCG@10 of each).
Runs: `recipe`, `set`, `expand` (words of the bundled encoder's that are added to each document). Every run
says what its start was worth under the same recipe, before the first step.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.papers.experiment import Experiment, Places
from splade_engine import SparseEncoder
from splade_engine.collections import read_documents
from splade_engine.engine import TermExpansion
from splade_engine.errors import SpladeEngineError
from splade_engine.training import MiningConfig, load_recipe, mine, train

COMMON = {
    "model.document_length": 64,
    "model.query_length": 32,
    "model.preflight": False,
    "data.held_out": 150,
    "train.batch_size": 12,
    "train.lr": 5e-5,
    "train.steps": 40,
    "train.save_steps": 0,
    "train.log_steps": 10,
    "train.device": "cpu",
    "train.seed": 42,  # says which queries are held out, so that all runs are asked the same
    "train.collapse_below": 1.0,
    "probe.documents": 400,
    "probe.every": 0,
}


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = dict(experiment.settings)
    if "linked" in settings:
        places = replace(places, linked=str(_linked(places, settings["linked"])))
    path = _pairs(places, settings["data"], settings.get("pairs", 1500)) if "data" in settings else Path()
    if "mine" in settings:
        path = _mined(places, path, {k: places.filled(v) for k, v in settings["mine"].items()})
    for each in experiment.runs:
        rows = _expanded(path, each["expand"]) if "expand" in each else path
        folder = places.work / experiment.name / each["name"].replace("/", "-")
        found = []
        try:
            for seed in settings.get("seeds", [COMMON["train.seed"]]):
                start = _start(places, settings, seed)
                values = COMMON | {"model.base": start, "data.sources": [{"path": str(rows)}]}
                values |= settings.get("set", {}) | each.get("set", {}) | {"train.seed": seed}
                values = {k: places.filled(v) for k, v in values.items()}
                shutil.rmtree(folder, ignore_errors=True)
                found.append(_numbers(train(load_recipe(each["recipe"]).override(values), folder).rows))
        except SpladeEngineError as error:
            yield {"name": each["name"], "error": str(error)}
            continue
        yield {"name": each["name"], **_means(found)}


def _numbers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Held-out nDCG@10 and terms before the first step and at the end; FLOPS of the last batches."""
    start = next(row for row in rows if "ndcg@10" in row)
    measured = next(row for row in reversed(rows) if "ndcg@10" in row)
    logged = [row for row in rows if "document_terms" in row]
    return {
        "nDCG@10 before": round(start["ndcg@10"], 4),
        "terms before": round(start["probe_document_terms"], 1),
        "nDCG@10": round(measured["ndcg@10"], 4),
        "terms a document": round(measured["probe_document_terms"], 1),
        "terms a query": round(measured["probe_query_terms"], 1),
        "FLOPS": round(logged[-1]["flops"], 3) if logged else None,
        "dead terms": int(logged[-1]["dead_terms"]) if logged else None,
        "InfoNCE": round(logged[-1]["contrastive"], 3) if logged and "contrastive" in logged[-1] else None,
        "lambda": logged[-1].get("lambda_document") if logged else None,
    }


def _means(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every number over the seeds, and what each of several seeds ended at."""
    if len(found) == 1:
        return found[0]
    means: dict[str, Any] = {}
    for name in found[0]:
        values = [each[name] for each in found]
        means[name] = None if None in values else float(f"{np.mean(values):.5g}")
        if name == "nDCG@10":
            means["nDCG@10 of each seed"] = ", ".join(f"{value:.3f}" for value in values)
    return means


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


def _start(places: Places, settings: Mapping[str, Any], seed: int) -> str:
    if "redrawn" in settings:
        return str(_redrawn(places, settings["redrawn"], seed))
    return str(_forgetful(places, settings["forgotten"])) if "forgotten" in settings else places.splade


def _forgetful(places: Places, layers: int) -> Path:
    """The SPLADE model with its last layers and the transform of its head drawn anew, always alike."""
    import torch

    def forget(model: Any) -> None:
        torch.manual_seed(0)
        for part in (*model.bert.encoder.layer[-layers:], model.cls.predictions.transform):
            for module in part.modules():  # transformers would leave alone what it has loaded
                if isinstance(module, torch.nn.Linear):
                    torch.nn.init.normal_(module.weight, std=0.02)
                    torch.nn.init.zeros_(module.bias)
                elif isinstance(module, torch.nn.LayerNorm):
                    module.reset_parameters()

    return _changed(places, f"forgotten-{layers}", forget)


def _redrawn(places: Places, layers: int, seed: int) -> Path:
    """The SPLADE model with the matrices of its last layers drawn anew, as wide as they were."""
    import torch

    def draw(model: Any) -> None:
        numbers = torch.Generator().manual_seed(seed)
        for layer in model.bert.encoder.layer[-layers:]:
            for module in layer.modules():
                if isinstance(module, torch.nn.Linear):
                    fresh = torch.randn(module.weight.shape, generator=numbers)
                    module.weight.copy_(fresh * module.weight.std())

    return _changed(places, f"redrawn-{layers}-{seed}", draw)


def _changed(places: Places, name: str, change: Callable[[Any], None]) -> Path:
    """The SPLADE model with other weights, written once."""
    import torch
    from transformers import AutoModelForMaskedLM

    folder = places.work / name
    if not folder.is_dir():
        model: Any = AutoModelForMaskedLM.from_pretrained(places.splade)
        with torch.no_grad():
            change(model)
        part = folder.with_name(f"{name}.part")
        model.save_pretrained(part)
        for file in Path(places.splade).glob("tokenizer*"):
            shutil.copyfile(file, part / file.name)
        part.rename(folder)
    return folder


def _linked(places: Places, name: str) -> Path:
    """A collection whose documents have links: to those whose titles of two to five words they hold."""
    path = places.work / f"{name}-linked.jsonl"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        documents = list(read_documents(places.data / "ir" / name))
        words = [re.findall(r"\w+", document.text.lower()) for document in documents]
        titles = {tuple(re.findall(r"\w+", d.title.lower())): d.id for d in documents}
        lines = []
        for document, text in zip(documents, words, strict=True):
            held = (tuple(text[i : i + n]) for i in range(len(text)) for n in (2, 3, 4, 5))
            links = dict.fromkeys(titles[w] for w in held if w in titles and titles[w] != document.id)
            record = {
                "_id": document.id,
                "title": document.title,
                "text": document.text,
                "links": list(links),
            }
            lines.append(json.dumps(record))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _expanded(rows: Path, terms: int) -> Path:
    """The same rows with words added to their documents."""
    path = rows.with_name(f"{rows.stem}-expanded-{terms}.jsonl")
    if not path.is_file():
        expand = TermExpansion(SparseEncoder.load(device="cpu"), terms)
        records = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
        texts = list(dict.fromkeys(t for r in records for t in (r["positive"], *r.get("negatives", ()))))
        longer = {t: f"{t}\n{more}" for t, more in zip(texts, expand(texts), strict=True)}
        for record in records:
            record["positive"] = longer[record["positive"]]
            record["negatives"] = [longer[t] for t in record.get("negatives", ())]
        lines = [json.dumps(record) for record in records]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _mined(places: Places, pairs: Path, values: dict[str, Any]) -> Path:
    config = MiningConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    names = "-".join((*config.retrievers, config.teacher or "none"))
    path = pairs.with_name(f"{pairs.stem}-{names}-{config.negatives}.jsonl".replace("/", "_"))
    if not path.is_file():
        mine(pairs, path, replace(config), device="cpu")
    return path
