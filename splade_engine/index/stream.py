"""From a stream of batches to segments on disk, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from splade_engine.arguments import check_many, many
from splade_engine.errors import InvalidInputError
from splade_engine.index.arguments import check_budget
from splade_engine.index.config import BuildConfig
from splade_engine.index.disk.ids import ID_ARRAYS, IdColumn, decimal_ids, free_ids
from splade_engine.index.disk.manifest import MAX_DOCS, MAX_SEGMENTS
from splade_engine.index.disk.payload import checked_table, column_type, join_tables, joined_type
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.disk.records import SegmentRecord
from splade_engine.index.disk.storage import map_container
from splade_engine.index.lists import AutoLists
from splade_engine.index.segment.list_kinds import LIST_KINDS, lists_for
from splade_engine.index.segment.segment import write_segment
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

# Peak resident bytes while a segment is built, per entry and per document: the batches as collected, their
# concatenation, and the builder's arrays beside it. Measured on 20 to 200 MiB segments: 24 to 27 bytes an
# entry.
_BYTES_PER_ENTRY = 32
_BYTES_PER_DOC = 256


class IndexBatch(NamedTuple):
    """Some documents of a stream: vectors, and per row an id and a payload row.

    Without `ids` the documents are numbered through from 0, as text.
    """

    vectors: SparseVectors
    ids: Sequence[str] | None = None
    payload: pa.Table | None = None


def segment_cost(nnz: int, n_docs: int, payload_bytes: int) -> int:
    """Peak bytes of memory that building a segment of this size takes."""
    return nnz * _BYTES_PER_ENTRY + n_docs * _BYTES_PER_DOC + 3 * payload_bytes


def batches_of(
    vectors: SparseVectors | Iterable[SparseVectors | IndexBatch],
    ids: Sequence[str] | None,
    payload: pa.Table | None,
) -> Iterator[IndexBatch]:
    """The input of a build as a stream of batches, with `ids` and `payload`, given for the whole, cut to fit.

    Raises:
        InvalidInputError: if there are fewer or more ids or payload rows than documents.
    """
    if isinstance(vectors, SparseVectors):
        vectors = [vectors]
    check_many("vectors", vectors, "SparseVectors")
    if ids is not None:
        ids = many("ids", ids)
    if payload is not None and not isinstance(payload, pa.Table):
        raise InvalidInputError(f"payload: expected a pyarrow.Table, got {type(payload).__name__}")
    done = 0
    for batch in vectors:
        part = _as_batch(batch)
        end = done + len(part.vectors)
        if ids is not None:
            part = part._replace(ids=ids[done:end])
        if payload is not None:
            part = part._replace(payload=payload.slice(done, end - done))
        done = end
        yield part
    if ids is not None and len(ids) != done:
        raise InvalidInputError(f"{len(ids)} ids for {done} documents")
    if payload is not None and payload.num_rows != done:
        raise InvalidInputError(f"payload: {payload.num_rows} rows for {done} documents")


def _as_batch(batch: Any) -> IndexBatch:
    if isinstance(batch, SparseVectors):
        return IndexBatch(batch)
    if isinstance(batch, tuple) and batch and isinstance(batch[0], SparseVectors):
        made = IndexBatch(*batch)
        if made.ids is not None:
            return made._replace(ids=many("ids", made.ids))
        return made
    raise InvalidInputError(f"build: expected SparseVectors or IndexBatch, got {type(batch).__name__}")


def refuse_other_terms(row: int, vectors: SparseVectors, n_terms: int) -> None:
    """Refuse vectors over another vocabulary; `row` is the number of their first document.

    Raises:
        InvalidInputError: naming both sizes.
    """
    if vectors.n_terms != n_terms:
        raise InvalidInputError(
            f"document {row}: vectors over {vectors.n_terms} terms in an index of {n_terms}"
        )


@dataclass
class SegmentStream:
    """Collects batches and writes a segment whenever the budget is full.

    Attributes:
        memory: budget in MiB, or None to put everything into one segment.
        first_ordinal: number of the first document, for default ids. Messages count the documents from 0.
        find: where each of some ids lies in the index that is added to: default ids are none of those.
        parts: how the segments of a stream are stored that needs several, where they will be joined; as
            `config` says where it is None.
    """

    writer: IndexWriter
    config: BuildConfig
    threads: int
    memory: int | None = None
    n_terms: int | None = None
    first_ordinal: int = 0
    find: Callable[[Sequence[str]], NDArray[np.int64]] | None = None
    parts: BuildConfig | None = None
    records: list[SegmentRecord] = field(default_factory=list)
    _vectors: list[SparseVectors] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _tables: list[tuple[pa.Table | None, int]] = field(default_factory=list)
    _cost: int = 0
    _written: list[tuple[int, IdColumn]] = field(default_factory=list)
    _kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_budget(self.threads, self.memory)
        self._budget = None if self.memory is None else self.memory << 20
        self._next = self._taken = 0
        lists = self.config.lists
        self._list_kinds = LIST_KINDS if isinstance(lists, AutoLists) else (lists_for(lists),)

    def consume(self, batches: Iterable[IndexBatch], *, progress: Progress = False) -> list[SegmentRecord]:
        """Write all segments; returns their records.

        Raises:
            InvalidInputError: naming the document that cannot be accepted.
            StorageError: if the disk refuses.
        """
        with ProgressBar(progress, None, label="indexing", unit=" docs") as bar:
            for batch in batches:
                for part in self._cut(batch):
                    self._add(part)
                    bar.advance(len(part.vectors))
            if self._vectors:
                self._write(self.parts if self.records and self.parts else self.config)
        return self.records

    def _cut(self, batch: IndexBatch) -> Iterator[IndexBatch]:
        """Pieces of a batch that each fit into the budget."""
        vectors = batch.vectors
        if batch.ids is not None and len(batch.ids) != len(vectors):
            raise InvalidInputError(f"{len(batch.ids)} ids for {len(vectors)} documents")
        payload = None if batch.payload is None else checked_table(batch.payload, len(vectors))
        step = len(vectors)
        if self._budget is not None and len(vectors):
            mean = self._cost_of(vectors, payload) / len(vectors)
            step = max(1, min(step, int(self._budget / 4 / mean)))
        for a in range(0, len(vectors), max(step, 1)):
            b = min(a + step, len(vectors))
            yield IndexBatch(
                vectors[a:b],
                None if batch.ids is None else batch.ids[a:b],
                None if payload is None else payload.slice(a, b - a),
            )

    def _cost_of(self, vectors: SparseVectors, payload: pa.Table | None) -> int:
        cost = segment_cost(vectors.nnz, len(vectors), 0 if payload is None else payload.nbytes)
        return cost + max(kind.build_cost(vectors.nnz, len(vectors)) for kind in self._list_kinds)

    def _add(self, part: IndexBatch) -> None:
        vectors = part.vectors
        if self.n_terms is None:
            self.n_terms = vectors.n_terms
        refuse_other_terms(self._next, vectors, self.n_terms)
        cost = self._cost_of(vectors, part.payload)
        if self._budget is not None and self._vectors and self._cost + cost > self._budget:
            self._write(self.parts or self.config)
        self._vectors.append(vectors)
        self._ids.extend(self._decimal(len(vectors)) if part.ids is None else part.ids)
        self._tables.append((part.payload, len(vectors)))
        self._cost += cost
        self._next += len(vectors)
        if self.first_ordinal + self._next > MAX_DOCS:
            raise InvalidInputError(f"more than {MAX_DOCS} documents")

    def _decimal(self, count: int) -> list[str]:
        first = self.first_ordinal + self._next + self._taken
        if self.find is None:
            return decimal_ids(first, count)
        ids = free_ids(first, count, self.find)
        self._taken += int(ids[-1]) + 1 - count - first if ids else 0
        return ids

    def _write(self, config: BuildConfig) -> None:
        """Write what is collected as a segment."""
        first = self._next - len(self._ids)
        ids = IdColumn.build(self._ids, first)
        self._refuse_known(ids, first)
        table = join_tables(self._tables)
        for column in table.schema if table is not None else ():
            kind = column_type(column.name, column.type)
            self._kinds[column.name] = joined_type(column.name, self._kinds.get(column.name), kind)
        vectors = [self._vectors[0] if len(self._vectors) == 1 else SparseVectors.concat(self._vectors)]
        self._vectors, self._ids, self._tables, self._cost = [], [], [], 0
        # popped, so that nothing here holds them and they can be freed on the way
        record = write_segment(self.writer, vectors.pop(), ids, table, config, self.threads)
        self.records.append(record)
        if len(self.records) > MAX_SEGMENTS:
            raise InvalidInputError(
                f"memory: {self.memory} MiB cut this collection into more than {MAX_SEGMENTS} segments"
            )
        # the ids of earlier segments are needed to find duplicates: mapped from the file, not kept
        path = self.writer.folder / f"{record.ids.id}.ids"
        kept = IdColumn(map_container(path, ID_ARRAYS, record.ids.sections, verify=False))
        self._written.append((first, kept))

    def _refuse_known(self, ids: IdColumn, first: int) -> None:
        for earlier, column in self._written:
            found = column.find_encoded(ids.offsets, ids.bytes, ids.hashes())
            if (found >= 0).any():
                row = int(np.argmax(found >= 0))
                twice, other = ids.take(np.array([row]))[0], earlier + int(found[row])
                raise InvalidInputError(
                    f"document {first + row}: id {twice!r} is also the id of document {other}"
                )
