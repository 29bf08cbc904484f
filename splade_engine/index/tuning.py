"""Measuring which search settings reach a recall, beside exact search, on the index itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many, real, whole
from splade_engine.errors import InvalidInputError
from splade_engine.index.arguments import MOST_THREADS, check_queries
from splade_engine.index.disk.records import TuningRecord
from splade_engine.index.effort import Budget, Exact, Work, settings_of
from splade_engine.index.search import Plan, check_k, search
from splade_engine.index.snapshot import Snapshot
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

# What is tried: how many list entries are walked for a query, and how many documents are scored for each
# hit asked for. A ladder is left as soon as a rung gains nothing over the one before, or reaches the
# highest target.
POSTINGS = (5_000, 10_000, 20_000, 30_000, 45_000, 65_000, 100_000, 150_000, 250_000)
CANDIDATES_PER_HIT = (2, 4, 8, 16, 32, 64, 128, 256)
QUERY_TERMS = 12  # of a query made from a document: its heaviest
_REPEATS = 2  # the faster of two runs counts: the first one warms the caches


@dataclass(frozen=True)
class Measurement:
    """A search, the share of the exact hits that they found, and their time per query."""

    work: Work
    recall: float
    microseconds: float


def measure(
    snapshot: Snapshot,
    queries: SparseVectors | None,
    *,
    k: int,
    targets: Sequence[float],
    sample: int,
    seed: int,
    threads: int,
    progress: Progress,
) -> list[TuningRecord]:
    """The fastest settings for each target; exact search where nothing approximate is faster.

    Raises:
        InvalidInputError: if a target is out of range, or no query has a hit.
    """
    check_k(k, int(snapshot.bases[-1]))
    k, threads = int(k), whole("threads", threads, 1, MOST_THREADS)
    sample, seed = whole("sample", sample, 1), whole("seed", seed)
    check_many("targets", targets, "numbers", ordered=False)
    wanted = sorted({_target(t) for t in targets})
    if not wanted or not 0.0 < wanted[0] <= wanted[-1] <= 1.0:
        raise InvalidInputError(f"tune: targets must be above 0 and at most 1, got {list(targets)}")
    if queries is None:
        queries = queries_from_documents(snapshot, sample, seed)
    check_queries(queries, snapshot.manifest.n_terms)
    truth, exact = _timed(snapshot, queries, k, Exact(), threads)
    if not (truth >= 0).any():
        raise InvalidInputError("tune: none of the queries has a hit")
    tried = [Measurement(Exact(), 1.0, exact)]
    ladders = list(_ladders(k, int(snapshot.bases[-1])))
    with ProgressBar(progress, len(ladders), label="tuning", unit=" query cuts") as bar:
        for ladder in ladders:
            tried += _climb(snapshot, queries, k, ladder, truth, wanted[-1], threads)
            bar.advance()
    live = snapshot.manifest.live
    return [_record(tried, target, k, len(queries), live) for target in wanted]


def _target(value: object) -> float:
    return real("targets", value, 0, 1)


def _ladders(k: int, n_docs: int) -> Iterator[list[Budget]]:
    for postings in POSTINGS:
        counts = sorted({min(k * factor, n_docs) for factor in CANDIDATES_PER_HIT})
        yield [Budget(postings, count) for count in counts]


def _climb(
    snapshot: Snapshot,
    queries: SparseVectors,
    k: int,
    ladder: Sequence[Budget],
    truth: NDArray[np.int64],
    enough: float,
    threads: int,
) -> list[Measurement]:
    found: list[Measurement] = []
    for work in ladder:
        ordinals, microseconds = _timed(snapshot, queries, k, work, threads)
        found.append(Measurement(work, recall(ordinals, truth), microseconds))
        gained = len(found) < 2 or found[-1].recall > found[-2].recall + 1e-4
        if found[-1].recall >= enough or not gained:
            break
    return found


def _timed(
    snapshot: Snapshot, queries: SparseVectors, k: int, work: Work, threads: int
) -> tuple[NDArray[np.int64], float]:
    plan, best = Plan(work, shared=True), float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        result = search(snapshot, queries, k, plan, threads, None)
        best = min(best, time.perf_counter() - start)
    return result.ordinals, best / max(1, len(queries)) * 1e6


def recall(ordinals: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Share of the true hits that were found, over all queries together; 1 where there are none."""
    hits = sum(len(np.intersect1d(a[a >= 0], t[t >= 0])) for a, t in zip(ordinals, truth, strict=True))
    return hits / max(1, int((truth >= 0).sum())) if (truth >= 0).any() else 1.0


def _record(tried: Sequence[Measurement], target: float, k: int, n_queries: int, n_docs: int) -> TuningRecord:
    best = min((m for m in tried if m.recall >= target), key=lambda m: m.microseconds)
    return TuningRecord(k, target, best.recall, best.microseconds, n_queries, settings_of(best.work), n_docs)


def queries_from_documents(snapshot: Snapshot, sample: int, seed: int) -> SparseVectors:
    """The heaviest terms of some live documents, as a stand-in for queries.

    Raises:
        InvalidInputError: if sample < 1 or there is no document.
    """
    sample = whole("sample", sample, 1)
    live = snapshot.live_ordinals()
    if not len(live):
        raise InvalidInputError("tune: the index holds no documents")
    chosen = np.random.default_rng(seed).choice(live, min(sample, len(live)), replace=False)
    return snapshot.vectors(np.sort(chosen)).top_k(QUERY_TERMS)
