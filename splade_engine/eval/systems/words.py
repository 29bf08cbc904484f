"""BM25 over words as they are written: the words' side of a hybrid search, from the index's own lists."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from splade_engine.eval.run.results import Cost
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench
    from splade_engine.index import SparseIndex

_BATCH = 4096  # documents at a time


@dataclass(frozen=True)
class Words(System):
    """The BM25 of `splade_engine.index.words.rank`: no stems, k1 = 0.9, b = 0.4."""

    kind: ClassVar[str] = "words"

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Search the queries one by one."""
        from splade_engine.index.words.text import words_of

        started = time.perf_counter()
        index = bench.resource(("words-index",), lambda: _index(bench))
        build_seconds = time.perf_counter() - started
        reader, rankings, seconds = index.reader, {}, np.empty(len(split.queries))
        depth = min(k, max(1, len(reader)))
        for i, (query_id, text) in enumerate(split.queries.items()):
            started = time.perf_counter()
            ordinals, scores = reader.search_words(words_of(text), depth)
            rankings[query_id] = Ranking.in_order(reader.ids(ordinals), scores)
            seconds[i] = time.perf_counter() - started
        cost = Cost(build_seconds=build_seconds, index_bytes=index.info().bytes["words"])
        return Answer(Run(self.title, rankings), seconds, cost=cost)


def _index(bench: Bench) -> SparseIndex:
    """Word lists of the whole dataset, without vectors."""
    import pyarrow as pa

    from splade_engine.index import BuildConfig, IndexBatch, SparseIndex
    from splade_engine.vectors import SparseVectors

    documents = [document for part in bench.dataset.parts for document in part]
    batches = []
    for first in range(0, len(documents), _BATCH):
        part = documents[first : first + _BATCH]
        columns = {
            "title": pa.array([document.title for document in part], pa.large_string()),
            "text": pa.array([document.text for document in part], pa.large_string()),
        }
        vectors = SparseVectors.from_dicts([{}] * len(part), 1)
        batches.append(IndexBatch(vectors, [document.id for document in part], pa.table(columns)))
    return SparseIndex.build(bench.scratch("words"), batches, config=BuildConfig(words=True))
