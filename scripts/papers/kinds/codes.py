"""Sparse codes of dense embeddings: trained on pairs, indexed and searched by us.

Settings: `data` and `pairs` as in `train`: one half is trained on, the other half is searched; `steps`, `lr`,
`latents`. Runs: `method` `dense` (all dimensions, float32), `truncated` (the first `dims`), or `code`: `k`
latents a text (0: no limit), `penalty` (`flops`, `l1`) with `weight`, `reconstruction`, `contrastive`,
`activation`, `init`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.papers.experiment import Experiment, Places
from scripts.papers.kinds.train import _pairs
from splade_engine.encoder.dense import load_dense
from splade_engine.index import SparseIndex
from splade_engine.training.data.line_file import LineFile
from splade_engine.training.objective import losses, regularizers
from splade_engine.training.run.probe import ndcg
from splade_engine.training.student.csr import SparseAutoencoder, start_in_subspace
from splade_engine.vectors import SparseVectors

Vectors = NDArray[np.float32]
Test = tuple[Vectors, Vectors, list[dict[int, int]]]
BATCH = 128


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = experiment.settings
    pairs = LineFile(_pairs(places, settings["data"], settings.get("pairs", 4000)), places.work / "cache")
    rows = [pairs.record(i) for i in range(len(pairs))]
    queries = _embedded(places, f"{Path(settings['data']).name}-q", [row["query"] for row in rows])
    documents = _embedded(places, f"{Path(settings['data']).name}-d", [row["positive"] for row in rows])
    half = len(rows) // 2
    test = _test(rows[half:], queries[half:], documents[half:])
    for each in experiment.runs:
        if each["method"] != "code":
            dims = each.get("dims", queries.shape[1])
            yield {"name": each["name"], **_dense(test, dims), "bytes a document": dims * 4}
            continue
        autoencoder = _trained(each, queries[:half], documents[:half], settings, _numbers(rows[:half]))
        yield {"name": each["name"], **_coded(autoencoder, test, places.work / "index")}


def _test(rows: list[dict[str, Any]], queries: Vectors, documents: Vectors) -> Test:
    """Queries, distinct documents, and the number of each query's document."""
    numbers = _numbers(rows)
    _, first = np.unique(numbers, return_index=True)
    return queries, documents[first], [{number: 1} for number in numbers.tolist()]


def _numbers(rows: list[dict[str, Any]]) -> NDArray[np.int64]:
    """The number of each row's document: rows of one document have one."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(row["positive"], len(numbers)) for row in rows], np.int64)


def _embedded(places: Places, name: str, texts: list[str]) -> Vectors:
    path = places.work / "embeddings" / f"{name}-{len(texts)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        encoder = load_dense(places.dense or None, device="cpu", max_length=256)
        np.save(path, encoder.encode(texts, query=name.endswith("-q")))
    found: Vectors = np.load(path)
    return found


def _dense(test: Test, dims: int) -> dict[str, float]:
    queries, documents, relevant = test
    q, d = (x[:, :dims] / np.linalg.norm(x[:, :dims], axis=1, keepdims=True) for x in (queries, documents))
    scores = q @ d.T + 1  # above zero, as `ndcg` wants it
    return {"nDCG@10": round(float(np.mean([ndcg(s, r) for s, r in zip(scores, relevant, strict=True)])), 3)}


def _trained(
    run: Mapping[str, Any],
    queries: Vectors,
    documents: Vectors,
    settings: Mapping[str, Any],
    numbers: NDArray[np.int64],
) -> SparseAutoencoder:
    torch.manual_seed(0)
    width = queries.shape[1]
    latents = run.get("latents", settings.get("latents", 4 * width))
    a = SparseAutoencoder(width, latents, run.get("k") or latents, 128, 30, run.get("activation", "relu"))
    q, d = torch.from_numpy(queries), torch.from_numpy(documents)
    if run.get("init", "data") == "data":
        start_in_subspace(a, d[:1024], 0)
    optimiser = torch.optim.AdamW(a.parameters(), lr=settings.get("lr", 2e-3), weight_decay=0.0)
    steps, generator = run.get("steps", settings.get("steps", 200)), torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = torch.randperm(len(q), generator=generator)[:BATCH]
        loss = torch.zeros(())
        codes = []
        for x in (q[rows], d[rows]):
            pre = a.pre_activations(x)
            z = a.codes(pre, a.k)
            a.count(z)
            if run.get("reconstruction", 1.0):
                parts = a.losses(x, pre, z)
                loss = loss + run.get("reconstruction", 1.0) * parts["reconstruction"] / 2
                loss = loss + 0.1 * parts["dead"] / 2
            codes.append(z)
        scores = codes[0] @ codes[1].T
        of = torch.from_numpy(numbers[rows.numpy()])
        others = (of[:, None] != of[None, :]) | torch.eye(len(rows), dtype=torch.bool)
        loss = loss + run.get("contrastive", 1.0) * losses.info_nce(
            scores, torch.arange(len(rows)), temperature=run.get("temperature", 1.0), mask=others
        )
        if "penalty" in run:
            both = torch.cat(codes)
            share = min(1.0, (step + 1) / (steps / 3)) ** 2
            l1 = run["penalty"] == "l1"
            fine = regularizers.l1(both) if l1 else regularizers.flops(both, reduction="flat")
            loss = loss + run["weight"] * share * fine
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return a


@torch.no_grad()
def _coded(a: SparseAutoencoder, test: Test, folder: Path) -> dict[str, float]:
    queries, documents, relevant = test
    q, d = (_codes(a, x) for x in (queries, documents))
    shutil.rmtree(folder, ignore_errors=True)
    index = SparseIndex.build(folder, d)
    found = index.search(q, k=10, exact=True)
    values = []
    for ordinals, of in zip(found.ordinals.tolist(), relevant, strict=True):
        scores = np.zeros(len(documents), np.float32)
        hits = [o for o in ordinals if o >= 0]
        scores[hits] = np.arange(len(hits), 0, -1)
        values.append(ndcg(scores, of))
    lists = np.bincount(d.terms, minlength=d.n_terms)
    active = lists[lists > 0]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    share = lists / len(documents)
    asked = np.bincount(q.terms, minlength=q.n_terms) / len(queries)
    numbers = {
        "nDCG@10": float(np.mean(values)),
        "terms a document": d.nnz / len(documents),
        "terms a query": q.nnz / len(queries),
        "FLOPS": float((share * asked).sum()),
        "longest list / mean": float(active.max() / active.mean()),
        "latents without a document": float((lists == 0).sum()),
        "bytes a document": size / len(documents),
    }
    return {name: round(value, 3) for name, value in numbers.items()}


def _codes(a: SparseAutoencoder, x: Vectors) -> SparseVectors:
    import scipy.sparse as sp

    blocks = [
        sp.csr_array(a.codes(a.pre_activations(torch.from_numpy(x[i : i + 512])), a.k).numpy())
        for i in range(0, len(x), 512)
    ]
    return SparseVectors.from_scipy(sp.vstack(blocks))
