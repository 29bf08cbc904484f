"""`Job`: the documents, how they are worked on, and what one process makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.scale.words import WordEncoder
from splade_engine.collections.corpus import Corpus
from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors


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


def encoded(job: Job) -> SparseVectors:
    """What one process encodes."""
    return WordEncoder().encode_documents([document.indexed_text for document in Corpus(job.corpus)])
