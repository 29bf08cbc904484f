"""splade-engine, through its public index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from search_bench.documents import Documents
from search_bench.engine import Ordinals, Setting, kept_build
from splade_engine.index import SparseIndex
from splade_engine.index.config import BuildConfig, SearchConfig
from splade_engine.index.lists import BlockLists
from splade_engine.vectors import SparseVectors

# thousands, for k of 10 and 100; with all factors no more settings than Seismic has with two builds
POSTINGS = (3, 5, 7, 10, 14, 17, 20, 25, 30, 37, 45, 60, 75, 90, 120, 180, 300, 500)
BLOCK_POSTINGS = (0.5, 1, 2, 3, 4.5, 6.5, 9, 11, 13, 16, 20, 26, 32, 40, 55, 80, 120, 200)
CROWD = 2_000_000  # so many documents need the budgets above; more of them need more


class Ours:
    """Built on disk, opened from there, rows stored as by default."""

    stored = BuildConfig()
    postings: tuple[float, ...] = POSTINGS
    # documents scored in full, for each of the k that are asked for
    factors: tuple[float, ...] = (3, 5, 7, 10, 15, 20, 40)

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.queries, self.k, self.path, self.scored = queries, k, folder / "index", 0.0

        def make(vectors: SparseVectors | Iterator[SparseVectors]) -> None:
            SparseIndex.build(self.path, vectors, config=self.stored, memory=docs.memory)

        self.built = kept_build(folder, docs if docs.memory is None else docs.stream, make)
        self.index = SparseIndex.open(self.path)

    def _batch(self, config: SearchConfig, threads: int) -> Ordinals:
        result = self.index.search(self.queries, self.k, config=config, threads=threads)
        self.scored = float(result.docs_scored.mean())
        return result.ordinals

    def _single(self, config: SearchConfig, i: int) -> None:
        self.index.search(self.queries[i], self.k, config=config)

    def settings(self) -> Iterator[Setting]:
        """Exact search, then entries walked x documents scored in full."""
        factors = self.factors if self.k <= 20 else (1, 1.5, 2, 3, 5) if self.k <= 200 else (1, 2, 3)
        crowd = max(1, len(self.index) // CROWD)
        more = 1000 * (1 + self.k // 200) * crowd
        configs = [SearchConfig(exact=True)]
        configs += [
            SearchConfig(max_postings=round(p * more), n_candidates=round(f * self.k * crowd**0.5))
            for p in self.postings
            for f in factors
        ]
        for config in configs:
            words = f"{config.max_postings} postings, {config.n_candidates} candidates"
            yield Setting(
                "exact" if config.exact else words,
                partial(self._batch, config, 1),
                partial(self._single, config),
                partial(self._batch, config, os.cpu_count() or 1),
            )


class Blocks(Ours):
    """Posting lists over blocks of alike documents."""

    stored = BuildConfig(lists="blocks")
    postings = BLOCK_POSTINGS
    factors = (1.6, 2, 2.4, 3, 3.6, 4.4, 6.6)


class Uint8(Ours):
    """Weights in 8 bits."""

    stored = BuildConfig(weights="uint8")


class Split(Ours):
    """Term numbers split."""

    stored = BuildConfig(terms="split")


class Uint8Split(Ours):
    """Both."""

    stored = BuildConfig(weights="uint8", terms="split")


class Pruned(Blocks):
    """The same, each document in the lists of its heaviest terms only; a build is the share of its weight."""

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None:
        self.stored = BuildConfig(lists=BlockLists(energy=float(build)))
        super().__init__(docs, queries, k, folder, build)
