"""The stages: each does its work on a cluster, `Reaper` kills meanwhile, and what comes out is compared."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.scale.kills.asking import asked
from scripts.scale.kills.job import Job, encoded
from scripts.scale.kills.outcome import Outcome, compared
from scripts.scale.nodes import Nodes, Reaper
from scripts.scale.words import N_TERMS, WordEncoder
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import InvalidInputError
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.vectors import SparseVectors


def encode(job: Job, reaper: Reaper) -> Outcome:
    """`splade_engine.ray.encode`: a dataset, to Parquet."""
    import ray.data

    from splade_engine.ray import Pool
    from splade_engine.ray import encode as encode_dataset

    out = job.folder / "encoded"

    def work() -> None:
        shutil.rmtree(out, ignore_errors=True)
        dataset = ray.data.from_arrow(pq.read_table(job.table)).repartition(40)
        encode_dataset(dataset, job.encoder, title="title", pool=Pool(actors=2)).write_parquet(str(out))

    again = _until_done(reaper, work, out)
    table = pa.concat_tables(pq.read_table(file) for file in sorted(out.glob("*.parquet"))).combine_chunks()
    vectors = _rows(table["terms"].to_pylist(), table["weights"].to_pylist())
    one = SparseIndex.open(job.one)
    found = compared(table["id"].to_pylist(), vectors, table["text"].to_pylist(), one, encoded(job))
    return replace(found, again=again)


def parts(job: Job, reaper: Reaper) -> Outcome:
    """`splade-engine encode --ray`: parts of a corpus, joined."""
    from splade_engine.engine.encoding import encode_corpus
    from splade_engine.ray import Pool, encode_parts

    work = job.folder / "parts"
    shutil.rmtree(work, ignore_errors=True)
    corpus, pool = partial(Corpus, job.corpus), Pool(actors=2)
    again = _until_done(reaper, lambda: encode_parts(corpus, work, job.encoder, parts=8, pool=pool), work)
    one = SparseIndex.open(job.one)
    with encode_corpus(Corpus(job.corpus), _Refuses(), work) as joined:
        return replace(compared(joined.ids(), joined.vectors(), None, one, encoded(job)), again=again)


def build(job: Job, reaper: Reaper) -> Outcome:
    """`splade_engine.ray.build`: a dataset, to a collection."""
    import ray.data

    from splade_engine.ray import Pool
    from splade_engine.ray import build as build_collection

    for folder in (job.built, job.built.with_name("built.building")):
        shutil.rmtree(folder, ignore_errors=True)
    each = -(-job.documents // job.shards)

    def work() -> None:
        dataset = ray.data.from_arrow(pq.read_table(job.table)).repartition(40)
        build_collection(dataset, job.built, job.encoder, shard_docs=each, pool=Pool(actors=2))

    again = _until_done(reaper, work, job.built)
    index = ShardedIndex.open(job.built)
    texts = [row["text"] for row in index.payload(range(len(index)))]
    return replace(compared(index.ids(), index.vectors(), texts, SparseIndex.open(job.one)), again=again)


def serve(job: Job, reaper: Reaper) -> Outcome:
    """`splade_engine.ray.application`: clients ask, and the collection gets new generations meanwhile."""
    from ray import serve as ray_serve

    from splade_engine.ray import Deployed, application
    from splade_engine.server import Limits, Settings

    if not job.built.exists():
        raise InvalidInputError(f"{job.built}: nothing built; the stage `build` comes first")
    folder = job.folder / "served"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(job.built, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    ray_serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    how = Deployed(replicas=2, routers=2, cpus=0.1, seconds=20)
    settings = Settings(Limits(seconds=60))  # for busy machines
    ray_serve.run(application(folder, WordEncoder, how=how, settings=settings), route_prefix="/")
    try:
        return asked(folder, port, reaper)
    finally:
        ray_serve.shutdown()


# what is at work in a stage, by the beginning of its title (on a busy machine, a killer of what only starts
# could go on for ever)
_READING = ("ReadParquet", "Write", "MapBatches(", "MapWorker(")
KINDS: dict[str, tuple[str, ...]] = {
    "encode": _READING,
    "parts": ("PartEncoder.work",),
    "build": ("Builder.work", *_READING),
    "serve": (
        "ServeReplica:default:shard-",
        "ServeReplica:default:Router",
        "ProxyActor",
        "ServeController",
    ),
}
STAGES: dict[str, Callable[[Job, Reaper], Outcome]] = {
    "encode": encode,
    "parts": parts,
    "build": build,
    "serve": serve,
}


def run(job: Job, stage: str, tell: Callable[[str], None]) -> Outcome:
    """One stage until it has seen all kills; an interrupted run goes on after the last whole round."""
    record = job.folder / f"{stage}.json"
    total = Outcome(**json.loads(record.read_text())) if record.exists() else Outcome()
    total.killed = Counter(total.killed)
    while total.killed.total() < job.kills:
        began = time.perf_counter()
        with Nodes(others=2) as nodes:
            left = job.kills - total.killed.total()
            reaper = Reaper(nodes, KINDS[stage], left, job.seconds, job.seed + total.rounds)
            found = STAGES[stage](job, reaper)
        found.rounds, found.killed, found.seconds = 1, reaper.killed, time.perf_counter() - began
        total.add(found)
        record.write_text(json.dumps(vars(total)))
        tell(f"{stage}: round {total.rounds}: {dict(found.killed)}, {found.compared:,} compared")
    return total


def _until_done(reaper: Reaper, work: Callable[[], None], out: Path) -> int:
    """Make a call that fills a folder while processes are killed; how often it had to be made again.

    Ray Data keeps the footers of Parquet files in actors that it does not start again: where such a one dies,
    the call is an error. Nothing partial is there then, and the same call goes on.
    """
    import ray

    def called() -> int:
        again = 0
        while True:
            try:
                work()
            except ray.exceptions.RayError:
                again += 1
            else:
                return again

    return reaper.during(called, lambda: sum(1 for _ in out.rglob("*")))


def _rows(terms: Iterable[list[int]], weights: Iterable[list[float]]) -> SparseVectors:
    rows = [dict(zip(t, w, strict=True)) for t, w in zip(terms, weights, strict=True)]
    return SparseVectors.from_dicts(rows, N_TERMS)


class _Refuses(WordEncoder):
    """Everything has been encoded elsewhere."""

    def encode_documents(self, texts: Sequence[str], **_options: Any) -> SparseVectors:
        raise AssertionError(f"{len(texts)} texts were not encoded")
