"""An order of documents in which neighbours are alike: k-means over sketches, as a tree.

A sketch is a random projection of a vector (signs, one for each term and dimension) of which each term counts
the more, the rarer it is. All documents are split into clusters, each cluster into smaller ones, until about
`leaf` documents are left in each; the clusters of a split are put next to similar ones. The order depends on
the vectors alone, not on threads or the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.kernels import order as kernels
from splade_engine.index.lists import BlockLists
from splade_engine.index.segment.arrays import Empty
from splade_engine.index.segment.rows import Rows
from splade_engine.index.segment.threads import map_threads

_SIGNS = 1 << 16  # terms that have signs of their own: 64 MiB for sketches of 256 dimensions
_SAMPLE = 64  # documents for each centre that decide where it moves
_ROWS = 1 << 13  # handled at a time by a thread


def cohesive_order(
    rows: Rows, frequencies: NDArray[np.int64], lists: BlockLists, leaf: int, threads: int, empty: Empty
) -> NDArray[np.uint32]:
    """uint32[n_docs]: the documents, alike ones next to each other.

    Args:
        rows: the documents, whose term numbers are not split.
        frequencies: int64[n_lists], how many documents hold each term.
        lists: dimensions of sketches, clusters of a split, rounds.
        leaf: about how many documents the smallest clusters hold.
        threads: large parts are spread over so many; the order does not depend on it.
        empty: makes arrays as long as the documents are many.
    """
    n_docs = len(rows.offsets) - 1
    docs = np.arange(n_docs, dtype=np.int64)
    if n_docs <= leaf:
        return docs.astype(np.uint32)
    sketches = _sketches(rows, frequencies, lists.dimensions, threads, empty)
    clusters = _Clusters(docs, sketches, _centres(n_docs, leaf, lists.clusters), leaf, lists)
    parts = [(0, n_docs)]
    while parts:
        # large parts one after the other, on all threads; small ones beside each other
        large = [part for part in parts if part[1] - part[0] > _ROWS]
        small = [part for part in parts if part[1] - part[0] <= _ROWS]
        split = [clusters.split(part, threads) for part in large]
        split += map_threads(lambda part: clusters.split(part, 1), small, threads)
        parts = [part for found in split for part in found if part[1] - part[0] >= 2 * leaf]
    return docs.astype(np.uint32)


def _centres(n_docs: int, leaf: int, most: int) -> int:
    """Into how many clusters each part is split: the fewest of which as few levels end at the leaves."""
    levels, centres = 1, 2
    while most**levels * leaf < n_docs:
        levels += 1
    while centres**levels * leaf < n_docs:
        centres += 1
    return centres


def _sketches(
    rows: Rows, frequencies: NDArray[np.int64], dimensions: int, threads: int, empty: Empty
) -> NDArray[np.uint8]:
    """uint8[n_docs * dimensions]."""
    n_docs = len(rows.offsets) - 1
    # the fourth root stands in for idf: roots are the same on every machine, logarithms are not
    rarity = np.sqrt(np.sqrt(n_docs / np.maximum(frequencies, 1))).astype(np.float32)
    known = min(_SIGNS, 1 << (max(len(frequencies), 1) - 1).bit_length())
    seeds = np.arange(known * dimensions // 64, dtype=np.uint64)
    bits = np.unpackbits(_mixed(seeds).astype("<u8").view(np.uint8), bitorder="little")
    signs = bits.astype(np.float32)
    signs *= np.float32(2.0)
    signs -= np.float32(1.0)
    sketches = empty(n_docs * dimensions, np.uint8)

    def sketch(first: int) -> None:
        kernels.sketch_rows(
            first=first,
            last=min(first + _ROWS, n_docs),
            offsets=rows.offsets,
            terms=rows.terms,
            weights=rows.weights,
            row_scales=rows.scales,
            rarity=rarity,
            signs=signs,
            sums=np.empty(dimensions, np.float32),
            sketches=sketches,
        )

    map_threads(sketch, range(0, n_docs, _ROWS), threads)
    return sketches


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Random words from numbers: the last steps of SplitMix64 (Steele, Lea and Flood, 2014)."""
    words = words * np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


@dataclass(frozen=True)
class _Clusters:
    """The documents in their order so far, and how parts of it are split."""

    # int64[n_docs], reordered in place
    docs: NDArray[np.int64]
    # uint8[n_docs * dimensions]
    sketches: NDArray[np.uint8]
    # clusters of a split
    most: int
    leaf: int
    lists: BlockLists

    def split(self, part: tuple[int, int], threads: int) -> list[tuple[int, int]]:
        """Reorder the documents of a part by cluster, and give the parts that the clusters are."""
        begin, end = part
        ours = self.docs[begin:end]
        k = min(self.most, -(-len(ours) // self.leaf))
        centres = self._moved(ours, k)
        nearest = np.zeros(len(ours), np.int64)

        def assign(first: int) -> None:
            kernels.nearest_centre(
                docs=ours[first : first + _ROWS],
                step=1,
                sketches=self.sketches,
                centres=centres,
                similar=np.empty(k, np.float32),
                out=nearest[first : first + _ROWS],
            )

        map_threads(assign, range(0, len(ours), _ROWS), threads)
        rank = np.empty(k, np.int64)
        rank[_chain(centres.reshape(-1, k))] = np.arange(k)
        nearest = rank[nearest]
        self.docs[begin:end] = ours[np.argsort(nearest, kind="stable")]
        ends = begin + np.cumsum(np.bincount(nearest, minlength=k))
        starts = np.concatenate(([begin], ends[:-1]))
        found = [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if b > a]
        return found if len(found) > 1 else []  # copies of one document are not split further

    def _moved(self, ours: NDArray[np.int64], k: int) -> NDArray[np.float32]:
        """float32[dimensions * k]: the centres of these documents, after all rounds."""
        dimensions = self.lists.dimensions
        step = max(1, len(ours) // (k * _SAMPLE))
        nearest = np.zeros(len(ours) // step, np.int64)
        similar, counts = np.empty(k, np.float32), np.zeros(k, np.int64)
        sums, centres = np.zeros(dimensions * k, np.float64), np.zeros(dimensions * k, np.float32)

        def move(docs: NDArray[np.int64], step: int, nearest: NDArray[np.int64]) -> None:
            kernels.move_centres(
                docs=docs,
                step=step,
                sketches=self.sketches,
                nearest=nearest,
                counts=counts,
                sums=sums,
                centres=centres,
            )

        # the first centres are single documents, spread evenly
        move(ours[np.arange(k) * len(ours) // k], 1, np.arange(k))
        for _ in range(self.lists.rounds):
            kernels.nearest_centre(
                docs=ours, step=step, sketches=self.sketches, centres=centres, similar=similar, out=nearest
            )
            move(ours, step, nearest)
        return centres


def _chain(centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64[k]: the columns, from the first on each followed by the most similar one that is left."""
    k = centres.shape[1]
    # sums of products in one order, so that no two machines disagree
    similar = np.zeros((k, k), np.float32)
    for row in centres:
        similar += row[:, None] * row[None, :]
    chain, left = [0], np.ones(k, bool)
    left[0] = False
    for _ in range(k - 1):
        chain.append(int(np.argmax(np.where(left, similar[chain[-1]], -np.inf))))
        left[chain[-1]] = False
    return np.array(chain, np.int64)
