"""Which way to store posting lists is faster for an index and its queries: both, measured on a sample.

A sample of the documents is built both ways in a temporary folder, both are tuned, and then the settings of
both take turns. Times of a sample tell which way is faster, not what a search of the whole index takes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from splade_engine.arguments import whole
from splade_engine.errors import InvalidInputError
from splade_engine.index import tuning
from splade_engine.index.config import BuildConfig, stored_build_config
from splade_engine.index.disk.records import TuningRecord
from splade_engine.index.effort import stored_work
from splade_engine.index.index import SparseIndex
from splade_engine.index.lists import BlockLists, ImpactLists, Lists
from splade_engine.progress import Progress, check_progress
from splade_engine.scratch import Scratch
from splade_engine.vectors import SparseVectors

DOCUMENTS = 200_000  # of the sample: from about as many on, the choice is a matter of the queries
WORTH = 0.95  # of the time: lists over blocks are larger and slower to build, so they have to gain something
_ROUNDS = 3


@dataclass(frozen=True)
class MeasuredLists:
    """One way to store posting lists, measured."""

    lists: Lists
    # of the sample
    n_docs: int
    # processor time
    build_seconds: float
    bytes: int
    # settings that reach each recall; their times are of the rounds in which both ways took turns
    tuned: tuple[TuningRecord, ...]

    @property
    def microseconds(self) -> float:
        """Of a query: the geometric mean over the recalls."""
        return float(np.exp(np.mean([np.log(record.microseconds) for record in self.tuned])))


def measure_lists(
    index: SparseIndex,
    queries: SparseVectors | None = None,
    *,
    k: int = 10,
    targets: Sequence[float] = (0.90, 0.95, 0.99),
    documents: int = DOCUMENTS,
    sample: int = 200,
    seed: int = 0,
    threads: int = 1,
    progress: Progress = False,
) -> tuple[MeasuredLists, ...]:
    """Lists in order of impact and over blocks, on a sample of an index; the index itself stays as it is.

    Args:
        index: whose documents are drawn. Its own way is measured with its own parameters.
        queries: what users ask; without any, made from `sample` documents, which is a rough stand-in.
        k: number of hits that the recall is over.
        targets: the recalls to reach.
        documents: how many to draw at most.
        sample: number of documents that stand in for queries.
        seed: of both draws.
        threads: of building, and of each search.
        progress: show bars, or call this with what is done.

    Raises:
        InvalidInputError: if an argument cannot be, or there is no document or no query with a hit.
    """
    documents, seed = whole("documents", documents, 1), whole("seed", seed)
    check_progress(progress)
    snapshot = index.reader.snapshot
    live = snapshot.live_ordinals()
    if not len(live):
        raise InvalidInputError("tune: the index holds no documents")
    drawn = live
    if len(live) > documents:
        drawn = np.sort(np.random.default_rng(seed).choice(live, documents, replace=False))
    if queries is None:
        queries = tuning.queries_from_documents(snapshot, sample, seed)
    vectors, own = snapshot.vectors(drawn), stored_build_config(snapshot.manifest.config)
    found = []
    with Scratch("tune") as folder:
        built = []
        for kind in (ImpactLists, BlockLists):
            lists = own.lists if isinstance(own.lists, kind) else kind()
            path, start = folder / kind.kind, time.process_time()
            config = BuildConfig(weights=own.weights, terms=own.terms, lists=lists)
            one = SparseIndex.build(path, vectors, threads=threads, config=config)
            seconds = time.process_time() - start
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            built.append(one)
            tuned = tuning.measure(
                one.reader.snapshot,
                queries,
                k=k,
                targets=targets,
                sample=sample,
                seed=seed,
                threads=threads,
                progress=progress,
            )
            found.append(MeasuredLists(lists, len(drawn), seconds, size, tuple(tuned)))
        return _in_turns(built, found, queries, k, threads)


def _in_turns(
    built: Sequence[SparseIndex], found: Sequence[MeasuredLists], queries: SparseVectors, k: int, threads: int
) -> tuple[MeasuredLists, ...]:
    """Time the settings of all ways again, one way after the other in each round; the medians count."""
    times = [[[0.0] * _ROUNDS for _ in one.tuned] for one in found]
    for number in range(_ROUNDS):
        for i, (index, one) in enumerate(zip(built, found, strict=True)):
            for j, record in enumerate(one.tuned):
                work = stored_work(record.settings)
                times[i][j][number] = tuning.timed(index.reader.snapshot, queries, k, work, threads)[1]
    timed = []
    for one, of_lists in zip(found, times, strict=True):
        pairs = zip(one.tuned, of_lists, strict=True)
        tuned = tuple(replace(r, microseconds=float(np.median(t))) for r, t in pairs)
        timed.append(replace(one, tuned=tuned))
    return tuple(timed)


def faster_lists(measured: Sequence[MeasuredLists]) -> Lists:
    """The way that `measure_lists` found faster: blocks only if they save a twentieth of the time."""
    impact, blocks = measured
    return blocks.lists if blocks.microseconds < WORTH * impact.microseconds else impact.lists
