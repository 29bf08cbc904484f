"""Encode, build and serve on a Ray cluster of this machine while its processes and nodes are killed.

Every stage is run again until it has seen so many kills. What comes out is compared with what one process
makes of the same documents: ids, vectors and texts, bit for bit, and while serving, the hits of every answer
with those of the generation that the answer names.
"""

from __future__ import annotations

import http.client
import json
import random
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.scale.nodes import Nodes, Reaper
from scripts.scale.words import N_TERMS, WordEncoder
from splade_engine.collections.corpus import Corpus
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.index import ShardedIndex, SparseIndex
from splade_engine.vectors import SparseVectors

K = 20
_CLIENTS = 3
_QUERIES = 40
_PATIENCE = 120  # seconds until a query counts as unanswered


@dataclass(frozen=True)
class Job:
    """The documents, and how they are worked on."""

    folder: Path
    documents: int
    shards: int = 4
    # of a node
    kills: int = 50
    # the least and the most between two kills
    seconds: tuple[float, float] = (2.0, 6.0)
    # texts per second of an actor, which sleeps for the rest: so that a stage lasts long enough to be hit
    rate: float = 1000.0
    seed: int = 1

    @property
    def corpus(self) -> Path:
        """JSONL."""
        return self.folder / "corpus.jsonl"

    @property
    def table(self) -> Path:
        """The same documents as Parquet."""
        return self.folder / "corpus.parquet"

    @property
    def one(self) -> Path:
        """The index that one process made of them."""
        return self.folder / "one"

    @property
    def built(self) -> Path:
        """The collection that the cluster made of them."""
        return self.folder / "built"

    @property
    def encoder(self) -> Callable[[], WordEncoder]:
        """Makes the encoder of an actor."""
        return partial(WordEncoder, self.rate)


@dataclass
class Outcome:
    """What a stage has come to, over all its rounds."""

    rounds: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    # documents or answers that were compared
    compared: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    # errors and broken connections: the same call was made, or the same query asked, once more
    again: int = 0
    generations: int = 0
    seconds: float = 0.0

    def add(self, other: Outcome) -> None:
        """Count another round."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        return not (self.lost or self.doubled or self.wrong)


def prepare(passages: Path, job: Job) -> None:
    """Take the first documents of a JSONL file, and let one process index them; what is there stays.

    Raises:
        InvalidInputError: the folder holds another number of documents, or the file holds too few.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    if not job.corpus.exists():
        with passages.open(encoding="utf-8") as file:
            lines = list(islice(file, job.documents))
        rows = [json.loads(line) for line in lines]
        named = [{"id": row["_id"], "title": row.get("title", ""), "text": row["text"]} for row in rows]
        pq.write_table(pa.Table.from_pylist(named), job.table, row_group_size=max(1, job.documents // 40))
        job.corpus.write_text("".join(lines), encoding="utf-8")
    if not job.one.exists():
        SearchEngine.build(job.one, Corpus(job.corpus), WordEncoder(), threads=1)
    there = len(SparseIndex.open(job.one))
    if there != job.documents:
        raise InvalidInputError(f"{job.folder}: holds {there:,} documents, not {job.documents:,}")


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


# ---- the stages -----------------------------------------------------------------------------------------


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
    found = compared(table["id"].to_pylist(), vectors, table["text"].to_pylist(), one, _encoded(job))
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
        return replace(compared(joined.ids(), joined.vectors(), None, one, _encoded(job)), again=again)


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
        return _asked(folder, port, reaper)
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


# ---- comparing ------------------------------------------------------------------------------------------


def compared(
    ids: Sequence[str],
    vectors: SparseVectors,
    texts: Sequence[str] | None,
    one: SparseIndex,
    encoded: SparseVectors | None = None,
) -> Outcome:
    """Documents in any order beside the index of all: what is missing, what is there twice, what differs.

    Args:
        ids: of the documents.
        vectors: theirs.
        texts: theirs; None where they are not to be compared.
        one: the index of all, from which nothing was deleted.
        encoded: the vectors of its documents before the index rounded them; None: as it holds them.
    """
    counts = Counter(ids)
    ordinal = {id: number for number, id in enumerate(one.ids())}
    rows = [row for row, id in enumerate(ids) if id in ordinal]
    ordinals = [ordinal[ids[row]] for row in rows]
    wanted = one.vectors(ordinals) if encoded is None else encoded[ordinals]
    payload = one.payload(ordinals)
    wrong = len(ids) - len(rows)
    for (terms, weights), row, kept, stored in zip(vectors[rows], rows, wanted, payload, strict=True):
        same = np.array_equal(terms, kept[0]) and np.array_equal(weights, kept[1])
        wrong += not (same and (texts is None or texts[row] == stored["text"]))
    return Outcome(
        compared=len(ids),
        lost=sum(id not in counts for id in ordinal),
        doubled=sum(count - 1 for count in counts.values()),
        wrong=wrong,
    )


def _encoded(job: Job) -> SparseVectors:
    """What one process encodes."""
    return WordEncoder().encode_documents([document.indexed_text for document in Corpus(job.corpus)])


def _rows(terms: Iterable[list[int]], weights: Iterable[list[float]]) -> SparseVectors:
    rows = [dict(zip(t, w, strict=True)) for t, w in zip(terms, weights, strict=True)]
    return SparseVectors.from_dicts(rows, N_TERMS)


class _Refuses(WordEncoder):
    """Everything has been encoded elsewhere."""

    def encode_documents(self, texts: Sequence[str], **_options: Any) -> SparseVectors:
        raise AssertionError(f"{len(texts)} texts were not encoded")


# ---- asking ---------------------------------------------------------------------------------------------


class _Client(threading.Thread):
    """Asks one query after the other; one that fails is asked again."""

    def __init__(self, port: int, queries: Sequence[str], stop: threading.Event, seed: int) -> None:
        super().__init__(name=f"client {seed}")
        self._port, self._queries, self._stop = port, queries, stop
        self._draw = random.Random(seed)
        self.seen: list[tuple[int, str, list[tuple[str, float]]]] = []
        self.again, self.unanswered = 0, 0

    def run(self) -> None:
        while not self._stop.wait(0.05):
            query = self._draw.choice(self._queries)
            until = time.monotonic() + _PATIENCE
            while (answer := self._answer(query)) is None and time.monotonic() < until:
                self.again += 1
                time.sleep(0.2)
            if answer is None:
                self.unanswered += 1
            else:
                hits = [(hit["id"], hit["score"]) for hit in answer["hits"]]
                self.seen.append((answer["generation"], query, hits))

    def _answer(self, query: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            body = json.dumps({"query": query, "k": K, "fields": []})
            connection.request("POST", "/search", body, {"content-type": "application/json"})
            response = connection.getresponse()
            read = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if response.status != 200:
            return None
        found: dict[str, Any] = json.loads(read)
        return found


def _asked(folder: Path, port: int, reaper: Reaper) -> Outcome:
    writer = SearchEngine.open(folder, WordEncoder())
    step = max(1, len(writer) // _QUERIES)
    rows = writer.index.payload(range(0, len(writer), step))
    queries = [f"{row['title']} {' '.join(row['text'].split()[:4])}" for row in rows]
    expected: dict[int, dict[str, list[tuple[str, float]]]] = {}

    def note() -> None:
        found = writer.search_many(queries, K)
        hits = ([(hit.id, hit.score) for hit in one] for one in found)
        expected[writer.index.generation] = dict(zip(queries, hits, strict=True))

    def change() -> None:
        while not reaper.done:
            time.sleep(10)
            number = len(expected)
            writer.update([{"id": f"new-{number % 5}", "text": f"{queries[number % len(queries)]} again"}])
            note()

    note()
    stop = threading.Event()
    clients = [_Client(port, queries, stop, seed) for seed in range(_CLIENTS)]
    for client in clients:
        client.start()
    try:
        reaper.during(change)
        time.sleep(15)  # what was killed last comes back, and the last generation is asked
    finally:
        stop.set()
        for client in clients:
            client.join()
    seen = [answer for client in clients for answer in client.seen]
    return Outcome(
        compared=len(seen),
        lost=sum(client.unanswered for client in clients),
        wrong=sum(expected.get(generation, {}).get(query) != hits for generation, query, hits in seen),
        again=sum(client.again for client in clients),
        generations=len({generation for generation, _, _ in seen}),
    )
