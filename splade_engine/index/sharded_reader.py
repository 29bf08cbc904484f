"""`ShardedReader`: one generation of several indexes, opened and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError, IndexNotFoundError, InvalidInputError
from splade_engine.files import file_stamp
from splade_engine.index import change_mark
from splade_engine.index.collection import COLLECTION, CollectionRecord, is_collection
from splade_engine.index.combine import check_encoders, check_pair, check_payloads
from splade_engine.index.reader import IndexReader
from splade_engine.index.segment.segment import Verify
from splade_engine.index.snapshot import Snapshot


class ShardedReader(IndexReader):
    """One generation of several indexes: everything that can be asked of one can be asked of them.

    Attributes:
        shards: their readers, in order.
    """

    def __init__(
        self, path: Path, shards: Sequence[IndexReader], record: CollectionRecord | None, verify: Verify
    ) -> None:
        generation = sum(shard.generation for shard in shards) + (record.generation if record else 0)
        snapshot = Snapshot.of_shards([shard.snapshot for shard in shards], generation)
        super().__init__(path, snapshot, verify)
        self.shards = tuple(shards)
        self.record = record

    @classmethod
    def open_shards(cls, path: Path, folders: Sequence[Path] | None, verify: Verify) -> ShardedReader:
        """Open the collection in the folder `path`, or these folders."""
        return _opened(path, folders, verify, None)

    def newest(self) -> ShardedReader:
        """The reader of what is published now: itself, where that is still the same."""
        folders = None if self.record is not None else [shard.path for shard in self.shards]
        return _opened(self.path, folders, self._verify, self)

    def changed(self) -> ShardedReader:
        """As `newest`, in the midst of a change too: for the one who makes it."""
        folders = None if self.record is not None else [shard.path for shard in self.shards]
        return _opened(self.path, folders, self._verify, self, within=True)

    def document_frequencies(self) -> NDArray[np.int64]:
        """int64[n_terms]: how many live documents of all shards hold each term."""
        if self.record is not None and self.record.is_of(self.shards):
            return self.record.document_frequencies
        return super().document_frequencies()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the same generations itself, and refuses others."""
        folders = None if self.record is not None else [shard.path for shard in self.shards]
        return _open_again, (self.path, folders, self._verify, self.snapshot.fingerprint)


def readers_of(part: Path | IndexReader) -> tuple[IndexReader, ...]:
    """The index in a folder, or one that is open; of a collection its shards."""
    if isinstance(part, Path):
        if not is_collection(part):
            return (IndexReader.open(part),)
        part = ShardedReader.open_shards(part, None, "full")
    return part.shards if isinstance(part, ShardedReader) else (part,)


def _opened(
    path: Path,
    folders: Sequence[Path] | None,
    verify: Verify,
    previous: ShardedReader | None,
    *,
    within: bool = False,
) -> ShardedReader:
    """Open what is published; shards that are the same as in `previous` are not opened or compared again.

    Raises:
        IndexLockedError: several shards are being changed, and that takes too long (unless `within`).
    """
    if folders is not None or within:
        return _opened_now(path, folders, verify, previous)
    while True:
        if previous is not None and change_mark.under_way(path):
            return previous
        change_mark.wait(path)
        listed = file_stamp(path / COLLECTION)
        found = _opened_now(path, None, verify, previous)
        # a change that began while the shards were opened is still marked, or has replaced the list
        if not change_mark.under_way(path) and file_stamp(path / COLLECTION) == listed:
            return found


def _opened_now(
    path: Path, folders: Sequence[Path] | None, verify: Verify, previous: ShardedReader | None
) -> ShardedReader:
    record = CollectionRecord.read(path) if folders is None else None
    there = record.paths(path) if record is not None else list(folders or ())
    known = {} if previous is None else {shard.path: shard for shard in previous.shards}
    readers = [known[f].newest() if f in known else open_shard(path, f, verify) for f in there]
    if previous is not None and list(previous.shards) == readers and _same_record(previous.record, record):
        return previous
    old = () if previous is None else previous.shards
    # The record was written when these very generations had been compared. Without it every pair is: two
    # minutes for a hundred shards of a million documents.
    known_together = record is not None and record.is_of(readers)
    for reader in readers[1:]:
        check_encoders(readers[0], reader)
    if known_together and record is not None:
        _check_record(path, record, readers[0])
    for i, a in enumerate(() if known_together else readers):
        for b in readers[:i]:
            if a not in old or b not in old:
                check_pair(b, a)
    check_payloads(readers)
    return ShardedReader(path, readers, record, verify)


def _check_record(path: Path, record: CollectionRecord, shard: IndexReader) -> None:
    """The statistics are of the shards' vocabulary and encoder: a digest anybody can write."""
    if record.n_terms != shard.n_terms:
        raise IndexCorruptError(
            f"{path / COLLECTION}: counts {record.n_terms} terms, its shards have {shard.n_terms}"
        )
    if record.encoder != shard.encoder:
        raise IndexCorruptError(f"{path / COLLECTION}: names another encoder than its shards")


def _same_record(a: CollectionRecord | None, b: CollectionRecord | None) -> bool:
    if a is None or b is None:
        return a is b
    return (a.generation, a.shards) == (b.generation, b.shards)


def open_shard(collection: Path, folder: Path, verify: Verify) -> IndexReader:
    """One of the indexes of a collection.

    Raises:
        InvalidInputError: the folder holds a collection itself.
        IndexNotFoundError: there is no index; names the collection too.
    """
    if is_collection(folder):
        raise InvalidInputError(f"{folder}: is a collection itself, an index is needed")
    try:
        return IndexReader.open(folder, verify)
    except IndexNotFoundError as error:
        if collection == folder:
            raise
        raise IndexNotFoundError(f"{collection}: a shard is missing: {error}") from None


def _open_again(
    path: Path, folders: Sequence[Path] | None, verify: Verify, fingerprint: str
) -> ShardedReader:
    reader = ShardedReader.open_shards(path, folders, verify)
    if reader.snapshot.fingerprint != fingerprint:
        raise IndexNotFoundError(f"{path}: the generation that was sent here has been replaced; open it anew")
    return reader
