"""What an engine is to this benchmark, and which there are.

An engine is a class for one way to build its index. It builds when it is made, or opens what an earlier run
has kept, and yields every setting of its grid as a callable that answers all queries. Each is imported by its
name only, in a process of its own, so that a peer that is not installed costs one line and nobody's peak
memory is somebody else's.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from search_bench.documents import Documents
from splade_engine.vectors import SparseVectors

Ordinals = NDArray[np.int64]
Batch = Callable[[], Ordinals]
Given = TypeVar("Given")


class Entry(NamedTuple):
    """An engine: its class, and the builds that it is measured at."""

    place: str
    builds: tuple[str, ...] = ("default",)


# Seismic: n_postings - centroid_fraction - summary_energy - max_fraction. Many small blocks with full
# summaries won on vectors of a real SPLADE model, with lists from short to long; then what the documentation
# gives for high accuracy, and the package's defaults.
SEISMIC = (
    "200-0.3-0.7-1.5",
    "500-0.3-0.7-1.5",
    "1000-0.3-0.7-1.5",
    "1000-0.2-0.5-3.0",
    "3000-0.2-0.5-6.0",
    "3500-0.1-0.4-1.5",
)
ENGINES = {
    "splade-engine": Entry("ours:Ours"),
    "splade-engine-blocks": Entry("ours:Blocks"),
    "splade-engine-blocks-pruned": Entry("ours:Pruned", ("0.9", "0.8")),
    "splade-engine-uint8": Entry("ours:Uint8"),
    "splade-engine-split": Entry("ours:Split"),
    "splade-engine-uint8-split": Entry("ours:Uint8Split"),
    "seismic": Entry("seismic_lsr:Seismic", SEISMIC),
    "sindi": Entry("sindi:Sindi", ("whole", "pruned-0.2", "pruned-0.4-8bit")),
    "bmp": Entry("block_max:Bmp", ("16", "32")),
    "kannolo": Entry("hnsw:Kannolo", ("Plain-32-200", "FixedU16-32-1000")),
    "taat": Entry("exact:TermAtATime"),
    "scipy": Entry("exact:Scipy"),
}


@dataclass(frozen=True)
class Setting:
    """One point of an engine's grid.

    words: the setting as the table shows it, unique within the build.
    batch: answers all queries on one thread, int64[nq, k].
    single: answers the query of that number, or None where a single call says nothing new.
    everywhere: as `batch` on all cores, or None where the engine has no threads of its own.
    """

    words: str
    batch: Batch
    single: Callable[[int], Any] | None = None
    everywhere: Batch | None = None


@dataclass(frozen=True)
class Built:
    """What building cost.

    seconds: wall time on all cores until the index is on disk (in memory for peers without files).
    cpu: processor time of all threads, which other work on the machine disturbs less.
    bytes: size of the index.
    """

    seconds: float
    cpu: float
    bytes: int


class Engine(Protocol):
    """An index, built or opened when it is made.

    built: what building it cost.
    scored: documents scored per query in the last batch, NaN where the engine does not say.
    """

    built: Built
    scored: float

    def __init__(self, docs: Documents, queries: SparseVectors, k: int, folder: Path, build: str) -> None: ...

    def settings(self) -> Iterator[Setting]:
        """The grid."""
        ...


def engine_of(name: str) -> type[Engine]:
    """The class of an engine; ImportError where its peer is not installed."""
    module, _, cls = ENGINES[name].place.partition(":")
    found: type[Engine] = getattr(importlib.import_module(f"search_bench.{module}"), cls)
    return found


def kept_build(folder: Path, docs: Callable[[], Given], make: Callable[[Given], None]) -> Built:
    """Build an index into `folder`, unless that was done before.

    `docs()` runs before the clock does. A stream is read while the index is built.
    """
    note = folder.with_suffix(folder.suffix + ".json")
    if not note.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        given = docs()
        start, cpu = time.perf_counter(), time.process_time()
        make(given)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        note.write_text(json.dumps(asdict(Built(seconds, cpu, size))))
    return Built(**json.loads(note.read_text()))


def in_memory(make: Callable[[], int]) -> Built:
    """Build an index that has no files; `make` gives its bytes."""
    start, cpu = time.perf_counter(), time.process_time()
    size = make()
    return Built(time.perf_counter() - start, time.process_time() - cpu, size)


def padded(rows: list[Any], k: int) -> Ordinals:
    """int64[nq, k] from rows of ordinals of any length, -1 where there are fewer."""
    out = np.full((len(rows), k), -1, np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row[:k]
    return out


def one_by_one(single: Callable[[int], Any], n: int, k: int) -> Batch:
    """All queries through single calls, for engines whose batches use every core."""
    return lambda: padded([single(i) for i in range(n)], k)
