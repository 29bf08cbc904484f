"""`Hunt`: which queries look for negatives in which documents, and what becomes of their hits."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.vectors import SparseVectors


@dataclass(frozen=True)
class Hunt:
    """One renewal of negatives."""

    # of the training set's examples
    numbers: list[int]
    # texts, one an example
    queries: list[str]
    # of each query the numbers of the documents that are known to answer it
    own: list[list[int]]
    # texts of the documents that are searched
    pool: list[str]
    # tokens of a document that are read
    length: int
    # hits that negatives are drawn from
    depth: int
    # negatives an example
    negatives: int
    # of the draws
    seed: list[int]

    def drawn(self, hits: NDArray[np.int64]) -> dict[int, tuple[str, ...]]:
        """The new negatives by the number of the example.

        Args:
            hits: int64[queries, n] numbers of documents, best first, -1 where there are no more.
        """
        rng = np.random.default_rng(self.seed)
        out = {}
        for number, own, row in zip(self.numbers, self.own, hits.tolist(), strict=True):
            found = [d for d in row if d >= 0 and d not in own][: self.depth]
            take = sorted(rng.permutation(len(found))[: self.negatives].tolist())
            out[number] = tuple(self.pool[found[t]] for t in take)
        return out

    @property
    def hits(self) -> int:
        """Hits to ask for, so that `depth` are left without a query's own documents."""
        return min(self.depth + max(map(len, self.own), default=0), len(self.pool))


def found_in(folder: Path, documents: SparseVectors, queries: SparseVectors, hits: int) -> NDArray[np.int64]:
    """int64[queries, hits]: the best documents of each query, by an index that is built in `folder`."""
    from splade_engine.index import SparseIndex

    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return SparseIndex.build(folder, documents).search(queries, k=hits).ordinals
