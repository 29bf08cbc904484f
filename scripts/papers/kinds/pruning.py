"""Document terms cut by their weight or by their effect on the scores of queries.

Settings: `collections` (folders below `ir/`), `queries` (training data whose queries say what is asked),
`keep` (shares of the terms). Runs: `by` `weight`, or `effect`: weight x the query table's idf, with `chance`
times the share of training queries that hold the term.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from scripts.papers.experiment import Experiment, Places
from scripts.papers.kinds.bundled import judged, uncut
from splade_engine import SparseEncoder
from splade_engine.errors import InvalidInputError
from splade_engine.training.data.sources import BeirSource


def run(experiment: Experiment, places: Places) -> Iterator[dict[str, Any]]:
    """See `kinds`."""
    settings = experiment.settings
    encoder = uncut()
    chance = _chance(encoder, settings["queries"], places)
    tests = [judged(encoder, name, places) for name in settings["collections"]]
    idf = encoder.query_table
    if idf is None:
        raise InvalidInputError("pruning by effect needs an encoder with a query table")
    for each in experiment.runs:
        effect = np.ones(len(chance), np.float32)
        if each["by"] == "effect":
            effect = idf * (chance if each["chance"] else 1)
        found: dict[str, Any] = {}
        for share in settings["keep"]:
            values, terms = [], []
            for test in tests:
                kept = _cut(test.documents, effect, share)
                values.append(test.ndcg(kept, test.queries))
                terms.append(kept.nnz / kept.shape[0])
            found[f"{np.mean(terms):.0f} terms"] = round(float(np.mean(values)), 4)
        yield {"name": each["name"], **found}


def _chance(encoder: SparseEncoder, folders: list[str], places: Places) -> Any:
    """float32[V]: the share of training queries that hold each term, smoothed by one query."""
    counts, total = None, 0
    for folder in folders:
        source = BeirSource(places.data / folder, places.work / "cache")
        rng = np.random.default_rng(0)
        texts = [source.example(i, rng).query for i in range(0, len(source), max(1, len(source) // 4000))]
        vectors = encoder.encode_queries(texts)
        held = np.bincount(vectors.terms, minlength=vectors.n_terms)
        counts = held if counts is None else counts + held
        total += len(texts)
    return ((counts + 1) / (total + 1)).astype(np.float32)


def _cut(rows: Any, effect: Any, share: float) -> Any:
    """The entries with the largest weight x effect, `share` of all of them."""
    if share >= 1:
        return rows
    value = rows.data * effect[rows.indices]
    kept = value > np.quantile(value, 1 - share)
    out = rows.copy()
    out.data = np.where(kept, rows.data, 0).astype(np.float32)
    out.eliminate_zeros()
    return out
