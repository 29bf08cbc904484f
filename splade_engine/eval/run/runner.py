"""Evaluating one system on one dataset: search, measure, and put everything into a `Result`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splade_engine.arguments import whole
from splade_engine.collections.dataset import Dataset
from splade_engine.collections.loading import load_dataset
from splade_engine.errors import InvalidInputError
from splade_engine.eval.measures.effectiveness import (
    DEEPEST,
    DEFAULT_MEASURES,
    check_computable,
    check_grades,
    largest_cutoff,
    measure,
    parse_measures,
)
from splade_engine.eval.measures.memory import peak_memory
from splade_engine.eval.run.results import Cost, Latency, Result, count_without_relevant
from splade_engine.eval.run.runs import Run
from splade_engine.eval.run.workbench import Workbench
from splade_engine.eval.systems.base import System
from splade_engine.eval.systems.bench import Settings
from splade_engine.eval.systems.function import as_system

logger = logging.getLogger(__name__)
DEFAULT_K = 100


def evaluate(
    system: Any,
    dataset: str | Path | Dataset,
    measures: str | Sequence[str] = DEFAULT_MEASURES,
    *,
    k: int | None = None,
    name: str = "",
    settings: Settings | None = None,
    workbench: Workbench | None = None,
) -> Result:
    """Evaluate one system on one dataset.

    Args:
        system: a specification ("sparse", "bm25", "rrf(bm25, sparse-exact)"), a `System`, a
            `SearchEngine`, or a function `(query, k) -> [(document id, score), ...]`.
        dataset: a BEIR folder, an ir_datasets id, or a `Dataset`.
        measures: ir_measures names.
        k: hits per query; the largest cutoff of the measures, and at least 100, if not given.
        name: what tables print.
        settings: encoder, cache, threads, seed; defaults if not given (nothing is kept on disk).
        workbench: to share encodings and indexes between systems; it carries dataset and settings itself.

    Raises:
        InvalidInputError: DatasetError included; one line naming what cannot be accepted.
    """
    names = parse_measures(measures)
    wanted = as_system(system, name)
    depth = needed_depth(names, k)
    check_computable(names)
    if workbench is not None:
        return _evaluated(wanted, workbench, names, depth)
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    data.check_documents_join()
    with Workbench(data, settings) as bench:
        return _evaluated(wanted, bench, names, depth)


def needed_depth(measures: Sequence[str], k: int | None) -> int:
    """How many hits to ask for.

    Raises:
        InvalidInputError: if k is below 1, or below a measure's cutoff.
    """
    cutoff = largest_cutoff(measures)
    if k is None:
        return max(DEFAULT_K, cutoff)
    k = whole("k", k, 1, DEEPEST)
    if k < cutoff:
        deep = next(m for m in measures if largest_cutoff([m]) > k)
        raise InvalidInputError(f"k = {k} is less than {deep} looks at")
    return k


def _evaluated(system: System, bench: Workbench, measures: Sequence[str], k: int) -> Result:
    data = bench.dataset
    check_grades(measures, data.qrels)
    with peak_memory() as peak:
        answer = bench.answer(system, data.test, k)
    run = Run(system.title, answer.run.rankings)
    latency = Latency.of(answer.seconds, answer.search_seconds) if len(answer.seconds) else None
    cost: Cost = replace(answer.cost, latency=latency, peak_memory_bytes=peak.bytes)
    return Result(
        system=system.title,
        spec=system.spec,
        dataset=data.name,
        split=data.test.name,
        n_documents=data.n_documents,
        n_distractors=data.n_distractors,
        n_queries=len(run),
        n_judged=len(data.qrels),
        n_own_ids_dropped=_own_ids(system, bench, run),
        drop_own_id=data.drop_own_id,
        n_without_hits=sum(not len(run[query]) for query in run),
        n_without_relevant=count_without_relevant(data.qrels),
        mode=answer.mode,
        k=k,
        effectiveness=measure(run, data.qrels, measures),
        sparsity=answer.sparsity,
        cost=cost,
        recall_vs_exact=answer.recall_vs_exact,
        recall_at_k=answer.recall_at_k,
        recall_curve=answer.recall_curve,
        notes=answer.notes,
        hashes={**data.hashes(), **answer.hashes},
        run=run,
    )


def _own_ids(system: System, bench: Workbench, run: Run) -> int:
    """How many queries lost their own document; the log says what the number means."""
    data = bench.dataset
    if data.drop_own_id:
        dropped = bench.own_ids_dropped(system, data.test)
        relevant = sum(data.qrels.get(query, {}).get(query, 0) > 0 for query in dropped)
        if relevant:
            logger.warning(
                "%s: %d of the %d hits that were dropped for having the query's own id are judged relevant; "
                "are these queries documents of the corpus? (drop_own_id = false keeps them)",
                *(data.name, relevant, len(dropped)),
            )
        elif dropped:
            logger.info("%s: %s: %d own ids dropped", data.name, system.title, len(dropped))
        return len(dropped)
    # at rank 1: in collections whose ids are numbers some query always meets the document of its number
    own = [
        query for query in run if run[query].ids[:1] == (query,) and query not in data.qrels.get(query, {})
    ]
    if 2 * len(own) > len(run):
        logger.warning(
            "%s: %s finds the query's own document first for %d of %d queries, and nobody judged it; if "
            "queries are documents of the corpus, drop_own_id = true in a suite or in collection.toml leaves "
            "it out",
            *(data.name, system.title, len(own), len(run)),
        )
    return 0
