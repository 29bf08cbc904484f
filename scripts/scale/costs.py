"""What Ray costs beside one process: encoding and building on this machine, with the cheapest encoder.

The encoder is `WordEncoder`, which takes a tenth of a millisecond for a text. So what is left is the work
around it: reading, writing, checking and indexing, and what Ray adds to that. Every actor has a processor.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from scripts.scale.nodes import Nodes
from scripts.scale.words import WordEncoder
from splade_engine.collections.corpus import Corpus
from splade_engine.engine import SearchEngine
from splade_engine.engine.encoding import encode_corpus
from splade_engine.index.arguments import default_threads

SHARDS = 4


@dataclass(frozen=True)
class Cost:
    """One job of so many documents, done in both ways; seconds."""

    what: str
    documents: int
    one: float
    ray: float


@dataclass(frozen=True)
class Start:
    """What comes before the first document."""

    # seconds until the cluster is there, and Ray connected to it
    cluster: float
    # until actors have loaded the encoder, encoded one document each and ended
    actors: float

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.cluster + self.actors


def costs(passages: Path, sizes: list[int], work: Path) -> tuple[Start, list[Cost]]:
    """Encode and build the first documents of a JSONL file in both ways, in a folder that is emptied."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = [_cut(passages, size, work / f"{size}.jsonl") for size in sizes]
    _encode_alone(_cut(passages, 64, work / "warm.jsonl"), work / "warm")  # loads what is loaded once
    _build_alone(work / "warm.jsonl", work / "warm-index")
    jobs = (("encode", _encode_alone, _encode_on_ray), ("build", _build_alone, _build_on_ray))
    alone = {
        (what, size): _measured(partial(one, file, work / f"one-{what}-{size}"))
        for size, file in zip(sizes, files, strict=True)
        for what, one, _ in jobs
    }
    with Nodes(others=0, cpus=default_threads() + 1) as nodes:
        ready = _measured(partial(_encode_on_ray, work / "warm.jsonl", work / "ray-warm"))
        rows = [
            Cost(what, size, alone[what, size], _measured(partial(ray, file, work / f"ray-{what}-{size}")))
            for size, file in zip(sizes, files, strict=True)
            for what, _, ray in jobs
        ]
    return Start(nodes.seconds, ready), rows


def pays_from(costs: list[Cost], start: float) -> float:
    """Documents from which Ray, its start included, is faster by the line through the measured sizes."""
    sizes = np.array([cost.documents for cost in costs], float)
    one = np.polyfit(sizes, [cost.one for cost in costs], 1)
    ray = np.polyfit(sizes, [start + cost.ray for cost in costs], 1)
    gain = float(one[0] - ray[0])
    return max(0.0, float(ray[1] - one[1]) / gain) if gain > 0 else float("inf")


def _cut(passages: Path, size: int, to: Path) -> Path:
    with passages.open(encoding="utf-8") as file, to.open("w", encoding="utf-8") as out:
        out.writelines(islice(file, size))
    return to


@contextmanager
def _removed(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _encode_alone(file: Path, folder: Path) -> None:
    with _removed(folder), encode_corpus(Corpus(file), WordEncoder(), folder):
        pass


def _build_alone(file: Path, folder: Path) -> None:
    with _removed(folder):
        SearchEngine.build(folder, Corpus(file), WordEncoder(), threads=1)


def _encode_on_ray(file: Path, folder: Path) -> None:
    from splade_engine.ray import Pool, encode_parts

    pool = Pool(actors=default_threads(), cpus=1)
    with _removed(folder):
        encode_parts(partial(Corpus, file), folder, WordEncoder, parts=4 * default_threads(), pool=pool)
        with encode_corpus(Corpus(file), WordEncoder(), folder):
            pass


def _build_on_ray(file: Path, folder: Path) -> None:
    from splade_engine.ray import Pool, build

    with file.open("rb") as lines:
        each = -(-sum(1 for _ in lines) // SHARDS)
    with _removed(folder):
        build(Corpus(file), folder, WordEncoder, shard_docs=each, pool=Pool(actors=default_threads(), cpus=1))
