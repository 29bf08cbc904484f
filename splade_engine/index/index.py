"""`SparseIndex`: document vectors on disk, searched exactly or approximately, changed while others read.

The folder holds immutable segments and one manifest (docs/format.md). An open index is a snapshot: it keeps
answering from its generation, whatever other processes publish, until `refresh`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from splade_engine.errors import InvalidInputError
from splade_engine.index import changes, tuning
from splade_engine.index import search as searching
from splade_engine.index.arguments import (
    check_queries,
    checked_fingerprint,
    checked_threads,
)
from splade_engine.index.check import check_index
from splade_engine.index.config import BuildConfig, SearchConfig
from splade_engine.index.disk.publish import IndexWriter, prepare_folder, remove_remains
from splade_engine.index.disk.records import Manifest
from splade_engine.index.explain import Placement, place
from splade_engine.index.info import TunedSetting
from splade_engine.index.merge import join_segments
from splade_engine.index.opened import OpenedIndex
from splade_engine.index.results import SearchResult
from splade_engine.index.segment.segment import Verify, open_segment
from splade_engine.index.snapshot import open_snapshot
from splade_engine.index.stream import IndexBatch, SegmentStream, batches_of
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    import pyarrow as pa

    from splade_engine.index.filter.parse import Filter

    Where = str | Mapping[str, Any] | Filter

Input = SparseVectors | Iterable[SparseVectors | IndexBatch]


class SparseIndex(OpenedIndex):
    """An index in a folder. Made by `build` or `open`; safe to search from many threads at once."""

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
        config: BuildConfig | None = None,
        overwrite: bool = False,
        threads: int | None = None,
        memory: int | None = None,
        progress: bool = False,
    ) -> SparseIndex:
        """Build an index in the folder `path` and open it.

        Args:
            vectors: one batch, or a stream of batches (`SparseVectors`, or `IndexBatch` with ids and
                payload).
            ids: one per document, unique; default "0", "1", ...
            payload: what is stored beside each document, one row each: text, numbers, bool, lists of text.
            encoder: fingerprint of the encoder that made the vectors; kept in the manifest.
            overwrite: replace the index that is there; until the last moment it stays as it is.
            threads: default all cores that this process may use.
            memory: budget in MiB for a stream larger than memory: a segment is written whenever it is full.
                At the end they are joined, on the disk, as far as their ids and payload fit into the budget.

        Raises:
            InvalidInputError: for a document, id or payload that cannot be accepted, naming it; for no
                documents.
            IndexExistsError: if the folder holds something.
            IndexLockedError: if another process is writing there.
            StorageError: if the disk refuses; what was there before stays.
        """
        folder = Path(path)
        config = config or BuildConfig()
        made = prepare_folder(folder, overwrite=overwrite)
        try:
            with IndexWriter(folder) as writer:
                stream = SegmentStream(writer, config, checked_threads(threads), memory)
                records = stream.consume(batches_of(vectors, ids, payload), progress=progress)
                if not records or stream.n_terms is None:
                    raise InvalidInputError(f"{folder}: no documents to build an index from")
                if len(records) > 1:  # the budget cut the stream, but a search is fastest in one segment
                    parts = [open_segment(folder, record, stream.n_terms, "offsets") for record in records]
                    records = join_segments(writer, parts, config, stream.threads, memory)
                manifest = Manifest(
                    generation=writer.generation,
                    n_terms=stream.n_terms,
                    segments=tuple(records),
                    encoder=None if encoder is None else checked_fingerprint(encoder),
                    config=asdict(config),
                )
                writer.commit(manifest)
        except BaseException:
            if made:
                remove_remains(folder)
            raise
        return cls.open(folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: Verify = "full") -> SparseIndex:
        """Open the index in the folder `path`, memory-mapped and read-only.

        Args:
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
            raise InvalidInputError(f"verify: 'full' or 'offsets', got {verify!r}")
        folder = Path(path)
        return cls(folder, open_snapshot(folder, verify), verify)

    def check(self, *, deep: bool = True, threads: int | None = None) -> None:
        """Verify what is published in the folder now: checksums and structure, and with `deep` that the lists
        belong to the vectors, by building every segment again.

        Raises:
            IndexCorruptError: naming the file, or the segment and array, that does not hold.
        """
        check_index(self.path, deep=deep, threads=checked_threads(threads))

    def refresh(self) -> Self:
        """Move to the generation that is published now; does nothing where it is the same."""
        self._snapshot = open_snapshot(self.path, self._verify, self._snapshot)
        return self

    # ---- searching -----------------------------------------------------------------------

    def search(
        self,
        queries: SparseVectors,
        k: int = 10,
        *,
        accuracy: float | None = None,
        exact: bool = False,
        config: SearchConfig | None = None,
        threads: int = 1,
        where: Where | None = None,
    ) -> SearchResult:
        """The `k` documents with the largest dot product with each query; only scores above 0 are hits.

        Without `exact`, `accuracy` or `config` a small segment is searched exactly, which is fastest there,
        and a large one with the default settings. The result depends on no number of threads.

        Args:
            accuracy: the share of the exact top k to find, by settings that `tune` measured; 1.0 is exact.
            where: a filter on the payload, see `splade_engine.index.filter.parse`.

        Raises:
            InvalidInputError: k < 1, another vocabulary, contradicting arguments, a filter that does not
                parse.
        """
        snapshot = self._snapshot
        plan = searching.Plan.of(snapshot, k, accuracy=accuracy, exact=exact, config=config)
        check_queries(queries, snapshot.manifest.n_terms)
        return searching.search(snapshot, queries, k, plan, checked_threads(threads), where)

    def explain(
        self,
        query: SparseVectors,
        id: str,
        k: int = 10,
        *,
        accuracy: float | None = None,
        exact: bool = False,
        config: SearchConfig | None = None,
        where: Where | None = None,
    ) -> Placement:
        """Why the document `id` is, or is not, among the `k` hits of one query; options as for `search`."""
        snapshot = self._snapshot
        plan = searching.Plan.of(snapshot, k, accuracy=accuracy, exact=exact, config=config)
        check_queries(query, snapshot.manifest.n_terms)
        return place(snapshot, query, id, k, plan, where)

    def tune(
        self,
        queries: SparseVectors | None = None,
        *,
        k: int = 10,
        targets: Sequence[float] = (0.90, 0.95, 0.99),
        sample: int = 200,
        seed: int = 0,
        threads: int = 1,
        progress: bool = False,
    ) -> tuple[TunedSetting, ...]:
        """Find the cheapest settings that reach each recall@k on these queries and store them in the index.

        Args:
            queries: what users will ask, 100 or more; without any, made from `sample` documents (their
                heaviest terms), which is a rough stand-in.

        Raises:
            InvalidInputError: if a target is not between 0 and 1 (above 0), or there is no query with a hit.
            IndexLockedError, StorageError: as for every change.
        """
        records = tuning.measure(
            self._snapshot,
            queries,
            k=k,
            targets=targets,
            sample=sample,
            seed=seed,
            threads=threads,
            progress=progress,
        )
        changes.store_tuning(self.path, records)
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
        progress: bool = False,
    ) -> int:
        """Add documents whose ids are new; returns their number. All of them, or with an error none.

        They become a new segment behind the others; small segments at the end are merged (see `changes.add`).

        Raises:
            InvalidInputError: as `build`, and if an id is in the index already (`update` replaces).
            IndexLockedError, StorageError: nothing has changed then.
        """
        return self._put(batches_of(vectors, ids, payload), False, threads, memory, progress)

    def update(
        self,
        vectors: Input,
        ids: Sequence[str] | None = None,
        *,
        payload: pa.Table | None = None,
        threads: int | None = None,
        memory: int | None = None,
        progress: bool = False,
    ) -> int:
        """Add documents, replacing those with the same ids; in one commit. Returns how many were replaced.

        A replaced document moves behind the others: its ordinal is new.

        Raises:
            InvalidInputError, IndexLockedError, StorageError: nothing has changed then.
        """
        return self._put(batches_of(vectors, ids, payload), True, threads, memory, progress)

    def _put(
        self,
        batches: Iterable[IndexBatch],
        replace: bool,
        threads: int | None,
        memory: int | None,
        progress: bool,
    ) -> int:
        count = changes.add(
            self.path,
            self._snapshot,
            batches,
            replace=replace,
            threads=checked_threads(threads),
            memory=memory,
            progress=progress,
        )
        self.refresh()
        return count

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents; returns their number. Their ordinals stay taken until `compact`.

        Raises:
            InvalidInputError: if an id is not in the index, or given twice; nothing has changed then.
            IndexLockedError, StorageError: nothing has changed then.
        """
        count = changes.delete(self.path, self._snapshot, ids)
        self.refresh()
        return count

    def compact(self, *, threads: int | None = None, memory: int | None = None) -> int:
        """Rewrite the live documents as one segment (or as few as `memory` MiB allow). Returns the segments
        left.

        Ordinals are numbered through again; the order of the documents stays. Results are those of an index
        built from the live documents.
        """
        changes.compact(self.path, self._snapshot, threads=checked_threads(threads), memory=memory)
        self.refresh()
        return len(self._snapshot.segments)

    # ---- processes -----------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process that is handed an index opens it itself."""
        return _reopened, (str(self.path), self._verify)


def _reopened(path: str, verify: Verify) -> SparseIndex:
    return SparseIndex.open(path, verify=verify)
