"""Batches of documents on their way to one of several shards: named, checked against all of them, divided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.disk.ids import free_ids
from splade_engine.index.disk.payload import checked_table
from splade_engine.index.stream import IndexBatch, refuse_other_terms

if TYPE_CHECKING:
    from splade_engine.index.reader import IndexReader


def named(batches: Iterable[IndexBatch], reader: IndexReader) -> Iterator[IndexBatch]:
    """The batches with ids; those without are numbered behind the documents that are there."""
    first = int(reader.snapshot.bases[-1])
    for batch in batches:
        if batch.ids is None:
            ids = free_ids(first, len(batch.vectors), reader.snapshot.find)
            first = int(ids[-1]) + 1 - len(ids) if ids else first
            batch = batch._replace(ids=ids)
        first += len(batch.vectors)
        yield batch


def fitting(batches: Iterable[IndexBatch], reader: IndexReader) -> Iterator[IndexBatch]:
    """The batches, as long as each can stand beside the documents of all shards.

    A shard compares new documents with its own alone. What another one refuses would be a change that cannot
    be ended, and columns that differ from those of another shard would keep the collection from opening.

    Raises:
        InvalidInputError: naming the document, or the column.
    """
    first = 0
    for batch in batches:
        check_fit([batch], reader, first)
        first += len(batch.vectors)
        yield batch


def check_fit(batches: Iterable[IndexBatch], reader: IndexReader, first: int = 0) -> None:
    """Check that these batches can stand beside the documents of all shards, and beside each other.

    Messages count the documents from `first`.

    Raises:
        InvalidInputError: naming the document, or the column.
    """
    tables, row = [], first
    for batch in batches:
        refuse_other_terms(row, batch.vectors, reader.n_terms)
        row += len(batch.vectors)
        table = None if batch.payload is None else checked_table(batch.payload, len(batch.vectors))
        tables += [] if table is None else [table]
    reader.snapshot.check_columns(tables)


def refuse_known(
    batches: Iterable[IndexBatch], shards: Sequence[IndexReader], going: Collection[str]
) -> None:
    """Refuse an id that a shard holds, unless it is among those that go.

    Raises:
        InvalidInputError: naming the document and its id.
    """
    going = set(going)
    for _ in refusing_known(batches, shards, going):
        pass


def refusing_known(
    batches: Iterable[IndexBatch], others: Sequence[IndexReader], going: Collection[str] = ()
) -> Iterator[IndexBatch]:
    """The batches, as long as no other shard holds one of their ids that is not among those that go.

    Raises:
        InvalidInputError: naming the document and its id.
    """
    first = 0
    for batch in batches:
        ids = list(batch.ids or ())
        for shard in others:
            for row in np.flatnonzero(shard.snapshot.find(ids) >= 0).tolist():
                if ids[row] in going:
                    continue
                raise InvalidInputError(f"document {first + row}: id {ids[row]!r} is in the index already")
        first += len(ids)
        yield batch


def refuse_twins(batches: Sequence[IndexBatch]) -> None:
    """Refuse an id that two documents have.

    Raises:
        InvalidInputError: naming both.
    """
    seen: dict[str, int] = {}
    row = 0
    for batch in batches:
        for id in batch.ids or ():
            if seen.setdefault(id, row) != row:
                raise InvalidInputError(f"document {row}: id {id!r} is also the id of document {seen[id]}")
            row += 1


def selected(batch: IndexBatch, rows: NDArray[np.int64]) -> IndexBatch:
    """Some rows of a batch, with their ids and payload."""
    ids = list(batch.ids or ())
    if len(ids) != len(batch.vectors):
        raise InvalidInputError(f"{len(ids)} ids for {len(batch.vectors)} documents")
    payload = None if batch.payload is None else batch.payload.take(rows)
    return IndexBatch(batch.vectors[rows], [ids[row] for row in rows], payload)
