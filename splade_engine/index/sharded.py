"""`ShardedIndex`: several indexes, searched and changed as one.

Their segments are searched like the segments of one index, so whatever can be asked of an index can be asked
of several: ids, scores and the order of equal ones are those of an index that holds all the documents, the
first shard's first. Each document lies in one shard. New documents go to the shard with the fewest, in one
commit; a replaced or deleted one is replaced or deleted where it lies, which is a commit in each shard
concerned. Readers of a collection see all of these commits or none (`change_mark`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many, first_twice, path_of, shown
from splade_engine.errors import (
    InvalidInputError,
    SpladeEngineError,
)
from splade_engine.files import disk_errors, file_stamp, refuse_ours
from splade_engine.index import begun_delete, change_mark, shard_batches
from splade_engine.index.arguments import checked_threads
from splade_engine.index.collection import (
    COLLECTION,
    MAX_SHARDS,
    CollectionRecord,
    collection_lock,
    replaced_collection,
)
from splade_engine.index.combine import check_together
from splade_engine.index.index import SparseIndex
from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists
from splade_engine.index.reader import IndexReader
from splade_engine.index.segment.segment import Verify
from splade_engine.index.sharded_reader import ShardedReader, open_shard
from splade_engine.index.stream import IndexBatch
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.info import TunedSetting


_Change = tuple[int, Callable[[SparseIndex], int]]  # the number of a shard, and what is done to it


class ShardedIndex(SparseIndex):
    """Several index folders as one index. Made by `open` or `collect`.

    A **collection** is a folder with `collection.json`, which names the shards: whatever opens an index opens
    it.
    """

    _reader: ShardedReader

    @property
    def shards(self) -> tuple[IndexReader, ...]:
        """The readers of the shards, in order."""
        return self._reader.shards

    # ---- making and opening --------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        verify: Verify = "full",
    ) -> ShardedIndex:
        """Open a collection, or the indexes in these folders as if they were one.

        Args:
            path: the folder of a collection, or index folders; their order decides between equal scores.
            verify: as for `SparseIndex.open`, for every shard.

        Raises:
            InvalidInputError: an id that two shards hold, or another vocabulary; names them.
            EncoderMismatchError: the vectors are of two encoders.
            IndexNotFoundError, IndexVersionError, IndexCorruptError, StorageError: naming the shard that
                cannot be opened. Nothing is searched without it.
        """
        if verify not in ("full", "offsets"):
            raise InvalidInputError(f"verify: 'full' or 'offsets', got {shown(verify)}")
        if isinstance(path, str | os.PathLike):
            return cls(ShardedReader.open_shards(path_of("path", path), None, verify))
        check_many("paths", path, "index folders")
        folders = [path_of("path", folder) for folder in path]
        if not folders:
            raise InvalidInputError("paths: no index is given")
        return cls(ShardedReader.open_shards(folders[0], folders, verify))

    @classmethod
    def collect(
        cls,
        path: str | os.PathLike[str],
        shards: Sequence[str | os.PathLike[str]],
        *,
        overwrite: bool = False,
    ) -> ShardedIndex:
        """Make a collection of index folders, which stay where they are.

        Args:
            path: the folder of the collection.
            shards: index folders, in the order of their documents.
            overwrite: replace the list of a collection that is there.

        Raises:
            IndexExistsError: something is there.
            InvalidInputError, EncoderMismatchError: as `open`; or `path` lies in a folder of ours.
        """
        folder = path_of("path", path)
        check_many("shards", shards, "index folders")
        folders = [path_of("shard", shard) for shard in shards]
        refuse_ours(folder)
        before = replaced_collection(folder, folders, overwrite)
        readers = [open_shard(folder, shard, "full") for shard in folders]
        check_together(readers)
        if len(readers) > MAX_SHARDS:
            raise InvalidInputError(f"{folder}: {len(readers)} shards, at most {MAX_SHARDS} are allowed")
        generation = 1
        if before is not None:  # numbers of generations only rise, whatever shards there were
            total = before.generation + sum(shard.generation for shard in before.shards)
            generation = max(before.generation, total - sum(r.generation for r in readers)) + 1
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with collection_lock(folder):
            CollectionRecord.of(folder, readers, generation).write(folder)
        return cls.open(folder)

    def check(self, *, deep: bool = True, threads: int | None = None) -> None:
        """Verify every shard as `SparseIndex.check` does, and that they go together."""
        for shard in self._reader.newest().shards:
            SparseIndex(shard).check(deep=deep, threads=threads)

    def tune(
        self, queries: SparseVectors | None = None, *, progress: Progress = False, **options: Any
    ) -> tuple[TunedSetting, ...]:
        """Tune every shard, see `SparseIndex.tune`: each then reaches the recall, and so do all together.

        Returns:
            The lowest recall of a shard, and the time of all of them.
        """
        with self._writing():
            for shard in self.shards:
                SparseIndex(shard).tune(queries, progress=progress, **options)
        self.refresh()
        return self.info().tuned

    # ---- changing ------------------------------------------------------------------------

    def _put(
        self,
        batches: Iterable[IndexBatch],
        replace: bool,
        threads: int | None,
        memory: int | None,
        progress: Progress,
        drop: Sequence[str] = (),
    ) -> int:
        how: dict[str, Any] = {"threads": threads, "memory": memory, "progress": progress}
        check_many("drop", drop, ordered=False)
        with self._writing():
            emptiest = min(range(len(self.shards)), key=lambda number: len(self.shards[number]))
            if not replace and not drop:
                others = [shard for number, shard in enumerate(self.shards) if number != emptiest]
                fresh = shard_batches.refusing_known(shard_batches.named(batches, self._reader), others)
                return SparseIndex(self.shards[emptiest]).add(
                    shard_batches.fitting(fresh, self._reader), **how
                )
            given, going = list(shard_batches.named(batches, self._reader)), list(drop)
            shard_batches.check_fit(given, self._reader)
            if replace:
                return self._replace(given, emptiest, going, how)
            shard_batches.refuse_known(given, self.shards, going)
            self._replace(given, emptiest, going, how)
            return sum(len(batch.vectors) for batch in given)

    def _replace(
        self, batches: list[IndexBatch], emptiest: int, drop: list[str], how: Mapping[str, Any]
    ) -> int:
        """Put each document where its id lies, new ones into the emptiest shard, by the last commit."""
        shard_batches.refuse_twins(batches)
        owners = [self._owners(batch.ids or ()) for batch in batches]
        dropped = self._owners(drop)
        changes: list[_Change] = []
        for number in range(len(self.shards)):
            mine = [
                shard_batches.selected(
                    batch, np.flatnonzero((owner == number) | ((owner < 0) & (number == emptiest)))
                )
                for batch, owner in zip(batches, owners, strict=True)
            ]
            mine = [batch for batch in mine if len(batch.vectors)]
            gone = [drop[i] for i in np.flatnonzero(dropped == number)]
            if mine:
                changes.append((number, lambda s, mine=mine, gone=gone: s.update(mine, drop=gone, **how)))  # type: ignore[misc]
            elif gone:
                changes.append((number, lambda s, gone=gone: s.delete(gone) and 0))  # type: ignore[misc]
        # a call that is repeated must not meet the new ids, or number documents anew: they come last
        return self._change(sorted(changes, key=lambda change: change[0] == emptiest))

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents; returns their number. A commit in each shard that holds some.

        Raises:
            InvalidInputError: an id is in no shard, or given twice; nothing has changed then.
            IndexLockedError, StorageError: as `SparseIndex.delete`; says which shards have changed, if any,
                and which documents are deleted. The same call deletes the others, in a collection also from
                another process.
        """
        check_many("ids", ids, ordered=False)
        ids = list(ids)
        with self._writing():
            owners = self._owners(ids)
            listed = self._reader.record is not None
            absent = [ids[i] for i in np.flatnonzero(owners < 0)]
            begun = begun_delete.begun(self.path) if listed and absent else frozenset()
            unknown = next((id for id in absent if id not in begun), None)
            if unknown is not None:
                raise InvalidInputError(f"delete: no document with id {unknown!r}")
            if len(set(ids)) != len(ids):
                twice = first_twice(ids)
                raise InvalidInputError(f"delete: id {twice!r} is given twice")
            changes: list[_Change] = []
            parts: dict[int, list[str]] = {}
            for number in np.unique(owners[owners >= 0]).tolist():
                parts[number] = gone = [ids[i] for i in np.flatnonzero(owners == number)]
                changes.append((number, lambda shard, gone=gone: shard.delete(gone)))  # type: ignore[misc]
            if listed and len(changes) > 1:
                begun_delete.begin(self.path, ids)
            total = self._change(changes, lambda done: begun_delete.told(parts, done, absent))
            if listed:
                begun_delete.end(self.path, ids)
            return total

    def compact(
        self,
        *,
        threads: int | None = None,
        memory: int | None = None,
        lists: str | ImpactLists | BlockLists | AutoLists | None = None,
    ) -> int:
        """Compact every shard; returns the segments left in all of them. See `SparseIndex.compact`."""
        with self._writing():
            for shard in self.shards:
                SparseIndex(shard).compact(threads=checked_threads(threads), memory=memory, lists=lists)
        return self.info().n_segments

    def _owners(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The number of the shard in which each id is live, -1 where it is in none."""
        owners = np.full(len(ids), -1, np.int64)
        for number, shard in enumerate(self.shards):
            owners[shard.snapshot.find(list(ids)) >= 0] = number
        return owners

    def _change(
        self,
        changes: Sequence[_Change],
        told: Callable[[Sequence[int]], str] = lambda done: "",
    ) -> int:
        """Change one shard after the other; an error says which are changed already, and what is `told`."""
        if len(changes) > 1 and self._reader.record is not None:
            change_mark.begin(self.path, os.getpid())
        total = 0
        done: list[int] = []
        for number, change in changes:
            try:
                total += change(SparseIndex(self.shards[number]))
            except SpladeEngineError as error:
                names = ", ".join(str(self.shards[n].path) for n in done)
                notes = [f"changed already: {names}" if done else "", told(done)]
                if any(notes):
                    note = "; ".join(filter(None, (str(error), *notes))) + ". The same call makes it whole"
                    error.args = (note,) if len(error.args) < 2 else (error.args[0], note)
                raise
            done.append(number)
        return total

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One change at a time; whatever has changed, the collection's statistics follow."""
        record = self._reader.record
        if record is None:
            self.refresh()
            try:
                yield
            finally:
                self.refresh()
            return
        with collection_lock(self.path):
            change_mark.end(self.path)  # one that is there was left by a process that is no more
            self.refresh()
            try:
                yield
            finally:
                try:
                    now = self._reader.changed()
                    if now.record is not None and not now.record.is_of(now.shards):
                        CollectionRecord.of(self.path, now.shards, now.record.generation).write(self.path)
                finally:
                    change_mark.end(self.path)
                    self.refresh()

    def stamp(self) -> tuple[Any, ...]:
        """See `SparseIndex.stamp`: of every shard, and of the list of them."""
        listed: tuple[Any, ...] = ()
        if self._reader.record is not None:  # the end of a change shows here too
            listed = file_stamp(self.path / COLLECTION), file_stamp(self.path / change_mark.CHANGING)
        return (*listed, *(SparseIndex(shard).stamp() for shard in self.shards))

    def refresh(self) -> Self:
        """Move to what is published now in all shards."""
        self._reader = self._reader.newest()
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process that is handed an index opens it itself."""
        there = [str(s.path) for s in self.shards] if self._reader.record is None else str(self.path)
        return _reopened, (there, self._reader._verify)

    def __repr__(self) -> str:
        return f"ShardedIndex({str(self.path)!r}, {len(self.shards)} shards, {len(self)} documents)"


def _reopened(path: str | list[str], verify: Verify) -> ShardedIndex:
    return ShardedIndex.open(path, verify=verify)
