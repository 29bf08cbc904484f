"""Sparse codes of dense embeddings: trained on pairs, indexed and searched by us.

Settings: `data` and `pairs` as in `train`, `collections` (folders below `ir/`), `steps`, `latents`. Runs:
`method` `dense` (all dimensions, float32), `truncated` (the first `dims`), or `code`: `k` latents a text
(0: no limit), `penalty` (`flops`, `l1`) with `weight`, `reconstruction`, `contrastive`, `activation`,
`init`.
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
from splade_engine.collections.loading import load_dataset
from splade_engine.encoder.dense import load_dense
from splade_engine.index import SparseIndex
from splade_engine.training.data.line_file import LineFile
from splade_engine.training.objective import losses, regularizers
from splade_engine.training.run.probe import ndcg
from splade_engine.training.student.csr import SparseAutoencoder, start_in_subspace
from splade_engine.vectors import SparseVectors

Vectors = NDArray[np.float32]
BATCH = 256


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = experiment.settings
    pairs = LineFile(_pairs(places, settings["data"], settings.get("pairs", 4000)), places.work / "cache")
    rows = [pairs.record(i) for i in range(len(pairs))]
    queries = _embedded(places, f"{Path(settings['data']).name}-q", [row["query"] for row in rows])
    documents = _embedded(places, f"{Path(settings['data']).name}-d", [row["positive"] for row in rows])
    tests = [_test(places, name) for name in settings["collections"]]
    for each in experiment.runs:
        if each["method"] != "code":
            dims = each.get("dims", queries.shape[1])
            values = [_dense(test, dims) for test in tests]
            yield {"name": each["name"], **_means(values), "bytes a document": dims * 4}
            continue
        autoencoder = _trained(each, queries, documents, settings)
        codes = [_coded(autoencoder, test, places.work / "index") for test in tests]
        yield {"name": each["name"], **_means(codes)}


def _test(places: Places, name: str) -> tuple[str, Vectors, Vectors, list[dict[int, int]]]:
    """Name, query and document embeddings, and the relevant documents of each query."""
    dataset = load_dataset(places.data / "ir" / name)
    split = dataset.test
    documents = list(dataset.corpus)
    numbers = {document.id: i for i, document in enumerate(documents)}
    asked = [q for q in split.queries if any(g > 0 for g in split.qrels.get(q, {}).values())]
    relevant = [{numbers[d]: g for d, g in split.qrels[q].items() if g > 0 and d in numbers} for q in asked]
    queries = _embedded(places, f"{name}-q", [split.queries[q] for q in asked])
    return name, queries, _embedded(places, f"{name}-d", [d.indexed_text for d in documents]), relevant


def _embedded(places: Places, name: str, texts: list[str]) -> Vectors:
    path = places.work / "embeddings" / f"{name}-{len(texts)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        encoder = load_dense(places.dense or None, device="cpu", max_length=256)
        np.save(path, encoder.encode(texts, query=name.endswith("-q")))
    found: Vectors = np.load(path)
    return found


def _dense(test: tuple[str, Vectors, Vectors, list[dict[int, int]]], dims: int) -> dict[str, float]:
    _, queries, documents, relevant = test
    q, d = (x[:, :dims] / np.linalg.norm(x[:, :dims], axis=1, keepdims=True) for x in (queries, documents))
    scores = q @ d.T + 1  # above zero, as `ndcg` wants it
    return {"nDCG@10": float(np.mean([ndcg(row, r) for row, r in zip(scores, relevant, strict=True)]))}


def _trained(
    run: Mapping[str, Any], queries: Vectors, documents: Vectors, settings: Mapping[str, Any]
) -> SparseAutoencoder:
    torch.manual_seed(0)
    width = queries.shape[1]
    latents = run.get("latents", settings.get("latents", 4 * width))
    a = SparseAutoencoder(width, latents, run.get("k") or latents, 512, 30, run.get("activation", "relu"))
    q, d = torch.from_numpy(queries), torch.from_numpy(documents)
    if run.get("init", "data") == "data":
        start_in_subspace(a, d[:1024], 0)
    optimiser = torch.optim.AdamW(a.parameters(), lr=run.get("lr", 4e-4), weight_decay=0.0)
    steps, generator = run.get("steps", settings.get("steps", 600)), torch.Generator().manual_seed(0)
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
        loss = loss + run.get("contrastive", 1.0) * losses.info_nce(
            scores, torch.arange(len(rows)), temperature=run.get("temperature", 1.0)
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
def _coded(
    a: SparseAutoencoder, test: tuple[str, Vectors, Vectors, list[dict[int, int]]], folder: Path
) -> dict[str, float]:
    _, queries, documents, relevant = test
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
    return {
        "nDCG@10": float(np.mean(values)),
        "terms a document": d.nnz / len(documents),
        "terms a query": q.nnz / len(queries),
        "FLOPS": float((share * asked).sum()),
        "longest list / mean": float(active.max() / active.mean()),
        "latents without a document": float((lists == 0).sum()),
        "bytes a document": size / len(documents),
    }


def _codes(a: SparseAutoencoder, x: Vectors) -> SparseVectors:
    import scipy.sparse as sp

    blocks = [
        sp.csr_array(a.codes(a.pre_activations(torch.from_numpy(x[i : i + 512])), a.k).numpy())
        for i in range(0, len(x), 512)
    ]
    return SparseVectors.from_scipy(sp.vstack(blocks))


def _means(values: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([v[key] for v in values])), 3) for key in values[0]}
