"""`SparseIndex`: document vectors on disk, searched exactly or approximately, changed while others read.

The folder holds immutable segments and one manifest (docs/format.md). What is asked is answered by an
`IndexReader`, which keeps its generation; `SparseIndex` moves to the newest one with every change it makes,
and with `refresh`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import check_many, flag, path_of, shown
from splade_engine.errors import InvalidInputError
from splade_engine.files import file_stamp
from splade_engine.index import changes, combine, tuning
from splade_engine.index.arguments import check_budget, checked_config, checked_fingerprint, checked_threads
from splade_engine.index.check import check_index
from splade_engine.index.collection import is_collection
from splade_engine.index.config import BuildConfig
from splade_engine.index.disk.publish import MANIFEST, refuse_unwritable
from splade_engine.index.effort import ExplainOptions, IndexSearchOptions
from splade_engine.index.explain import Placement
from splade_engine.index.info import IndexInfo, TunedSetting
from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists, lists_of
from splade_engine.index.reader import IndexReader
from splade_engine.index.search import SearchResult
from splade_engine.index.segment.segment import Verify
from splade_engine.index.sharded_reader import readers_of
from splade_engine.index.stream import IndexBatch, batches_of
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    import pyarrow as pa


Input = SparseVectors | Iterable[SparseVectors | IndexBatch]


class SparseIndex:
    """An index in a folder. Made by `build` or `open`; safe to search from many threads at once.

    Whatever can be asked of it is answered by `reader`; its methods of the same names are short for that.
    """

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader

    @property
    def path(self) -> Path:
        """The folder."""
        return self._reader.path

    @property
    def reader(self) -> IndexReader:
        """The generation that is open now. It stays as it is when the index moves on."""
        return self._reader

    # ---- making and opening --------------------------------------------------------------

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        vectors: Input,
        ids: Sequence[str] | None = None,
        *,
        payload: pa.Table | None = None,
        encoder: Mapping[str, str | int] | None = None,
        encoder_folder: str | os.PathLike[str] | None = None,
        config: BuildConfig | None = None,
        overwrite: bool = False,
        threads: int | None = None,
        memory: int | None = None,
        progress: Progress = False,
    ) -> SparseIndex:
        """Build an index in the folder `path` and open it.

        Args:
            path: the folder, which appears when the index is complete.
            vectors: one batch, or a stream of batches (`SparseVectors`, or `IndexBatch` with ids and
                payload).
            ids: one per document, unique; default "0", "1", ...
            payload: what is stored beside each document, one row each: text, numbers, bool, lists of text.
            encoder: fingerprint of the encoder that made the vectors; kept in the manifest.
            encoder_folder: a folder with that encoder, which is moved into the index and belongs to it.
            config: what is stored and how; None: the defaults of `BuildConfig`.
            overwrite: replace the index that is there; until the last moment it stays as it is.
            threads: default all cores that this process may use.
            memory: budget in MiB for a stream larger than memory: a segment is written whenever it is full.
                At the end they are joined, on the disk, as far as their ids and payload fit into the budget.
            progress: show a bar, or call this with what is done.

        Raises:
            InvalidInputError: for a document, id or payload that cannot be accepted, naming it; for no
                documents.
            IndexExistsError: if the folder holds something.
            IndexLockedError: if another process is writing there.
            StorageError: if the disk refuses; what was there before stays.
        """
        folder = path_of("path", path)
        check_budget(threads, memory)
        changes.build(
            folder,
            batches_of(vectors, ids, payload),
            checked_config(config),
            encoder=None if encoder is None else checked_fingerprint(encoder),
            encoder_folder=None if encoder_folder is None else path_of("encoder_folder", encoder_folder),
            overwrite=overwrite,
            threads=checked_threads(threads),
            memory=memory,
            progress=progress,
        )
        return SparseIndex.open(folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: Verify = "full") -> SparseIndex:
        """Open the index in the folder `path`, memory-mapped and read-only.

        A folder with a collection (`ShardedIndex.collect`) is opened as one index of all its shards.

        Args:
            path: the folder.
            verify: "full" compares every checksum and checks the structure that the kernels rely on: any
                folder may be opened, and damage is an error, never a crash or a wrong result. It reads the
                whole index once. "offsets" checks only the manifest, sizes, id offsets and tombstones: for
                files you trust, when reading them takes too long.

        Raises:
            IndexNotFoundError, IndexVersionError: if there is none that can be read.
            IndexCorruptError: naming the file and the rule that does not hold.
            StorageError: if the disk refuses.
        """
        if verify not in ("full", "offsets"):
            raise InvalidInputError(f"verify: 'full' or 'offsets', got {shown(verify)}")
        folder = path_of("path", path)
        if is_collection(folder):
            from splade_engine.index.sharded import ShardedIndex

            return ShardedIndex.open(path, verify=verify)
        return cls(IndexReader.open(folder, verify))

    @classmethod
    def merge(
        cls,
        path: str | os.PathLike[str],
        parts: Sequence[str | os.PathLike[str] | SparseIndex],
        *,
        config: BuildConfig | None = None,
        overwrite: bool = False,
        threads: int | None = None,
        memory: int | None = None,
    ) -> SparseIndex:
        """Write the documents of several indexes, one after the other, as one index, and open it.

        Its files are those of an index built of all the documents at once; the parts stay.

        Args:
            path: the folder to make.
            parts: folders, or open indexes as they are now; of a collection all shards. Ids, payload and the
                record of the encoder come along, and an encoder that lies in a part's folder; deleted
                documents and the settings that `tune` measured do not.
            config: how documents are stored; None: as in the parts.
            overwrite: as in `build`.
            threads: default all cores that this process may use.
            memory: budget in MiB. What of ids and payload does not fit into it stays apart, as in `build`.

        Raises:
            InvalidInputError: for parts of another vocabulary, an id that two of them hold (naming it), a
                column of two types, other settings than the first part's (without `config`), no documents.
            EncoderMismatchError: for vectors of another encoder.
            IndexExistsError, IndexLockedError, StorageError: as `build`.
        """
        check_many("parts", parts, "index folders")
        check_budget(threads, memory)
        config = None if config is None else checked_config(config)
        folder = path_of("path", path)
        given = [p.reader if isinstance(p, SparseIndex) else path_of("part", p) for p in parts]
        readers = [reader for part in given for reader in readers_of(part)]
        combine.merge(
            folder, readers, config, overwrite=overwrite, threads=checked_threads(threads), memory=memory
        )
        return SparseIndex.open(folder)

    def check(self, *, deep: bool = True, threads: int | None = None) -> None:
        """Verify what is published in the folder now: checksums and structure.

        With `deep` every segment is built again, to see whether the lists belong to the vectors.

        Raises:
            IndexCorruptError: naming the file, or the segment and array, that does not hold.
        """
        check_index(self.path, deep=flag("deep", deep), threads=checked_threads(threads))

    def refresh(self) -> Self:
        """Move to the generation that is published now; does nothing where it is the same."""
        self._reader = self._reader.newest()
        return self

    def stamp(self) -> tuple[Any, ...]:
        """What changes whenever something is published in the folder: one look at a file's times."""
        return file_stamp(self.path / MANIFEST) or ()

    # ---- asking: see IndexReader ---------------------------------------------------------

    def search(
        self, queries: SparseVectors, k: int = 10, **options: Unpack[IndexSearchOptions]
    ) -> SearchResult:
        """The `k` documents with the largest dot product with each query, see `IndexReader.search`.

        Options are `effort`, `threads` and `where`. `exact=True`, `accuracy=0.95` (a share of the exact top
        k, by settings that `tune` measured) and `config=SearchConfig(...)` are shorthands for an effort.
        """
        return self._reader.search(queries, k, **options)

    def explain(
        self, query: SparseVectors, id: str, k: int = 10, **options: Unpack[ExplainOptions]
    ) -> Placement:
        """Why the document `id` is, or is not, among the `k` hits of one query; options as for `search`."""
        return self._reader.explain(query, id, k, **options)

    def ids(self, ordinals: ArrayLike | None = None) -> list[str]:
        """The ids of these ordinals; without any, those of all live documents in order."""
        return self._reader.ids(ordinals)

    def ordinal(self, id: str) -> int:
        """The ordinal of the live document with this id; InvalidInputError if there is none."""
        return self._reader.ordinal(id)

    def vectors(self, ordinals: ArrayLike | None = None) -> SparseVectors:
        """The stored vectors of these documents (of all live ones), in this order."""
        return self._reader.vectors(ordinals)

    def payload(self, ordinals: ArrayLike, *, without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The stored row of each of these documents; {} where the index has no payload."""
        return self._reader.payload(ordinals, without=without)

    def document_frequencies(self) -> NDArray[np.int64]:
        """int64[n_terms]: how many live documents hold each term."""
        return self._reader.document_frequencies()

    def info(self) -> IndexInfo:
        """What the index holds, from the manifest alone."""
        return self._reader.info()

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self._reader.n_terms

    @property
    def encoder(self) -> Mapping[str, str | int] | None:
        """Fingerprint of the encoder of the vectors, as given to `build`."""
        return self._reader.encoder

    @property
    def generation(self) -> int:
        """Number of the generation that is open; every change adds 1."""
        return self._reader.generation

    def __len__(self) -> int:
        return len(self._reader)

    def __contains__(self, id: object) -> bool:
        return id in self._reader

    def __repr__(self) -> str:
        return f"SparseIndex({str(self.path)!r}, {len(self)} documents, {self.n_terms} terms)"

    # ---- tuning --------------------------------------------------------------------------

    def tune(
        self,
        queries: SparseVectors | None = None,
        *,
        k: int = 10,
        targets: Sequence[float] = (0.90, 0.95, 0.99),
        sample: int = 200,
        seed: int = 0,
        threads: int = 1,
        progress: Progress = False,
    ) -> tuple[TunedSetting, ...]:
        """Find the cheapest settings that reach each recall@k, and store them in the index.

        Further queries like these reach it with 90 % confidence (`splade_engine.index.tuning` says how): the
        fewer there are, the more must be left to spare. Of fewer than 30 that cannot be said, and a warning
        tells.

        Args:
            queries: what users will ask, 300 or more; without any, made from `sample` documents (their
                heaviest terms), which is a rough stand-in.
            k: number of hits that the recall is over.
            targets: the recalls to reach, each above 0 and at most 1.
            sample: number of documents that stand in for queries.
            seed: of the draw of those documents.
            threads: that each search is measured with.
            progress: show a bar, or call this with what is done.

        Raises:
            InvalidInputError: if a target is not between 0 and 1 (above 0), or there is no query with a hit.
            IndexLockedError, StorageError: as for every change.
        """
        refuse_unwritable(self.path)
        measured = self._reader.snapshot
        records = tuning.measure(
            measured,
            queries,
            k=k,
            targets=targets,
            sample=sample,
            seed=seed,
            threads=threads,
            progress=progress,
        )
        changes.store_tuning(self.path, records, measured.manifest)
        self.refresh()
        return tuple(t for t in self.info().tuned if t.k == k and t.target in set(map(float, targets)))

    # ---- changing ------------------------------------------------------------------------

    def add(
        self,
        vectors: Input,
        ids: Sequence[str] | None = None,
        *,
        payload: pa.Table | None = None,
        threads: int | None = None,
        memory: int | None = None,
        progress: Progress = False,
        drop: Sequence[str] = (),
    ) -> int:
        """Add documents whose ids are new; returns their number. All of them, or with an error none.

        They become a new segment behind the others; small segments at the end are merged (see `changes.add`).
        Documents with the ids of `drop` are deleted by the same commit, so that new ones may have their ids.
        Without `ids` they get numbers that no document has.

        Raises:
            InvalidInputError: as `build`, and if an id is in the index already (`update` replaces).
            IndexLockedError, StorageError: nothing has changed then.
        """
        return self._put(batches_of(vectors, ids, payload), False, threads, memory, progress, drop)

    def update(
        self,
        vectors: Input,
        ids: Sequence[str] | None = None,
        *,
        payload: pa.Table | None = None,
        threads: int | None = None,
        memory: int | None = None,
        progress: Progress = False,
        drop: Sequence[str] = (),
    ) -> int:
        """Add documents, replacing those with the same ids; in one commit. Returns how many were replaced.

        A replaced document moves behind the others: its ordinal is new. Documents with the ids of `drop` are
        deleted by the same commit; ids that are not in the index are passed over. Without `ids` nothing is
        replaced: documents get numbers as in `add`.

        Raises:
            InvalidInputError, IndexLockedError, StorageError: nothing has changed then.
        """
        return self._put(batches_of(vectors, ids, payload), True, threads, memory, progress, drop)

    def _put(
        self,
        batches: Iterable[IndexBatch],
        replace: bool,
        threads: int | None,
        memory: int | None,
        progress: Progress,
        drop: Sequence[str] = (),
    ) -> int:
        count = changes.add(
            self.path,
            self._reader.snapshot,
            batches,
            replace=replace,
            threads=checked_threads(threads),
            memory=memory,
            progress=progress,
            drop=drop,
        )
        self.refresh()
        return count

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents; returns their number. Their ordinals stay taken until `compact`.

        Raises:
            InvalidInputError: if an id is not in the index, or given twice; nothing has changed then.
            IndexLockedError, StorageError: nothing has changed then.
        """
        count = changes.delete(self.path, self._reader.snapshot, ids)
        self.refresh()
        return count

    def compact(
        self,
        *,
        threads: int | None = None,
        memory: int | None = None,
        lists: str | ImpactLists | BlockLists | AutoLists | None = None,
    ) -> int:
        """Rewrite the live documents as one segment, or as few as `memory` MiB allow.

        Returns the number of segments left.

        Ordinals are numbered through again; the order of the documents stays. Results are those of an index
        built from the live documents.

        Args:
            threads: default all cores that this process may use.
            memory: budget in MiB, as in `build`.
            lists: store the posting lists this way from now on (`BuildConfig.lists`); None: as they are.
                What `tune` measured on other lists is dropped.

        Raises:
            InvalidInputError: for lists that there are not.
            IndexLockedError, StorageError: nothing has changed then.
        """
        check_budget(threads, memory)
        if lists is not None:
            lists_of(lists, "lists")
        changes.compact(
            self.path,
            self._reader.snapshot,
            threads=checked_threads(threads),
            memory=memory,
            lists=lists,
        )
        self.refresh()
        return self.info().n_segments

    # ---- processes -----------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process that is handed an index opens it itself."""
        return _reopened, (str(self.path), self._reader._verify)


def _reopened(path: str, verify: Verify) -> SparseIndex:
    return SparseIndex.open(path, verify=verify)
