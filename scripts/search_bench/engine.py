"""What an engine is to this benchmark, and which there are.

An engine is a class that builds its index when it is made, and yields every setting of its grid as a callable
that answers all queries. Each is imported by its name only, in a process of its own, so that a peer that is
not installed costs one line and nobody's peak memory is somebody else's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.vectors import SparseVectors

Ordinals = NDArray[np.int64]
Batch = Callable[[], Ordinals]

ENGINES = {
    "splade-engine": "ours:Ours",
    "splade-engine-blocks": "ours:Blocks",
    "splade-engine-uint8": "ours:Uint8",
    "splade-engine-split": "ours:Split",
    "splade-engine-uint8-split": "ours:Uint8Split",
    "seismic": "seismic_lsr:Seismic",
    "sindi": "sindi:Sindi",
    "bmp": "block_max:Bmp",
    "kannolo": "hnsw:Kannolo",
    "taat": "exact:TermAtATime",
    "scipy": "exact:Scipy",
}


@dataclass(frozen=True)
class Setting:
    """One point of an engine's grid.

    words: the setting as the table shows it, unique within the engine.
    batch: answers all queries on one thread, int64[nq, k].
    single: answers the query of that number, or None where a single call says nothing new.
    everywhere: as `batch` on all cores, or None where the engine has no threads of its own.
    """

    words: str
    batch: Batch
    single: Callable[[int], Any] | None = None
    everywhere: Batch | None = None


class Engine(Protocol):
    """An index, built when it is made.

    build: seconds on all cores until the index is on disk (in memory for exact peers without files).
    bytes: size of the index.
    scored: documents scored per query in the last batch, NaN where the engine does not say.
    """

    build: float
    bytes: int
    scored: float

    def __init__(self, docs: SparseVectors, queries: SparseVectors, k: int, work: Path) -> None: ...

    def settings(self) -> Iterator[Setting]:
        """The grid."""
        ...


def engine_of(name: str) -> type[Engine]:
    """The class of an engine; ImportError where its peer is not installed."""
    module, _, cls = ENGINES[name].partition(":")
    found: type[Engine] = getattr(importlib.import_module(f"search_bench.{module}"), cls)
    return found


def padded(rows: list[Any], k: int) -> Ordinals:
    """int64[nq, k] from rows of ordinals of any length, -1 where there are fewer."""
    out = np.full((len(rows), k), -1, np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row[:k]
    return out


def one_by_one(single: Callable[[int], Any], n: int, k: int) -> Batch:
    """All queries through single calls, for engines whose batches use every core."""
    return lambda: padded([single(i) for i in range(n)], k)
