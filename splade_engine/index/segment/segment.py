"""An immutable part of the index, opened: verified maps of its files, and the searcher over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError
from splade_engine.index.disk.ids import ID_ARRAYS, IdColumn
from splade_engine.index.disk.payload import Payload, payload_dtypes
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.disk.records import DeletedRecord, SegmentRecord
from splade_engine.index.disk.storage import FileRecord, map_container
from splade_engine.index.segment.arrays import Empty
from splade_engine.index.segment.layout import SEGMENT_ARRAYS, check_structure, file_arrays
from splade_engine.index.segment.list_kinds import stored_lists
from splade_engine.index.words.build import build_words
from splade_engine.index.words.lists import WORD_ARRAYS, WordLists, check_words
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.config import BuildConfig
    from splade_engine.index.segment.search import SegmentSearcher

Verify = Literal["full", "offsets"]
Mask = NDArray[np.bool_]

POSTING_DTYPES = {spec.name: spec.dtype for spec in SEGMENT_ARRAYS}
_DELETED_DTYPES = {"bits": "|u1"}


class Segment:
    """One segment of an open index.

    Attributes:
        record: what the manifest says of it.
        arrays: the sections of its postings file, read-only maps.
        ids: its ids; payload: what is stored beside its documents, or None.
        words: which words stand in which documents, or None.
        live: bool[n_docs], False for deleted documents; None where none is deleted.
    """

    def __init__(
        self,
        record: SegmentRecord,
        n_terms: int,
        arrays: Mapping[str, NDArray[Any]],
        ids: IdColumn,
        payload: Payload | None,
        live: Mask | None,
        words: WordLists | None = None,
    ) -> None:
        self.record = record
        self.n_terms = n_terms
        self.arrays = arrays
        self.ids = ids
        self.payload = payload
        self.live = live
        self.words = words

    def __len__(self) -> int:
        return self.record.n_docs

    @cached_property
    def searcher(self) -> SegmentSearcher:
        """The searcher over the maps; made at the first search, because its kernels need numba."""
        from splade_engine.index.segment.search import SegmentSearcher

        return SegmentSearcher(
            self.arrays, n_docs=self.record.n_docs, n_terms=self.n_terms, nnz=self.record.nnz
        )

    @property
    def live_ordinals(self) -> NDArray[np.int64]:
        """int64[live]: the ordinals, within the segment, of the documents that are not deleted."""
        return np.arange(len(self)) if self.live is None else np.flatnonzero(self.live)

    def frequencies(self) -> NDArray[np.int64]:
        """int64[number of terms that occur]: in how many documents each stands, deleted ones included."""
        return stored_lists(self.arrays).frequencies(self.arrays, len(self))

    def live_ids(self) -> IdColumn:
        """The ids of the documents that are not deleted."""
        if self.live is None:
            return self.ids
        return IdColumn.from_encoded(*self.ids.select(self.live_ordinals))

    def live_payload(self) -> pa.Table | None:
        """What is stored beside the documents that are not deleted."""
        if self.payload is None or self.live is None:
            return None if self.payload is None else self.payload.table
        return self.payload.table.take(pa.array(self.live_ordinals))

    def with_deleted(self, record: SegmentRecord, live: Mask | None) -> Segment:
        """The same files under other tombstones."""
        other = Segment(record, self.n_terms, self.arrays, self.ids, self.payload, live, self.words)
        if "searcher" in self.__dict__:
            other.__dict__["searcher"] = self.searcher
        return other


def open_segment(folder: Path, record: SegmentRecord, n_terms: int, verify: Verify) -> Segment:
    """Map and check the files of a segment.

    Raises:
        IndexCorruptError: naming the file and the rule.
        StorageError: if the disk refuses.
    """
    full = verify == "full"
    names = file_arrays(record.postings.sections)
    stored = _map(folder, "postings", record.postings, POSTING_DTYPES, full, names)
    arrays = {name: stored.get(name, np.zeros(0, dtype)) for name, dtype in POSTING_DTYPES.items()}
    ids = IdColumn(_map(folder, "ids", record.ids, ID_ARRAYS, full))
    path = folder / f"{record.postings.id}.postings"
    if full:
        with structure_errors(path):
            check_structure(arrays, n_docs=record.n_docs, n_terms=n_terms, nnz=record.nnz)
    with structure_errors(folder / f"{record.ids.id}.ids"):
        (ids.check if full else ids.check_offsets)(record.n_docs)
    payload = None
    if record.payload is not None:
        with structure_errors(folder / f"{record.payload.id}.payload"):
            dtypes = payload_dtypes(record.columns)
            columns = _map(folder, "payload", record.payload, dtypes, full)
            payload = Payload.from_arrays(columns, record.columns, record.n_docs, full=full)
    live = open_deleted(folder, record)
    return Segment(record, n_terms, arrays, ids, payload, live, _open_words(folder, record, full))


def _open_words(folder: Path, record: SegmentRecord, full: bool) -> WordLists | None:
    if record.words is None:
        return None
    arrays = _map(folder, "words", record.words, WORD_ARRAYS, full)
    with structure_errors(folder / f"{record.words.id}.words"):
        check_words(arrays, record.n_docs, full=full)
    return WordLists(arrays)


class structure_errors:
    """Puts the file's path before the message of a structural error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IndexCorruptError) and not str(error).startswith(str(self.path.parent)):
            raise IndexCorruptError(f"{self.path}: {error}") from None


def _map(
    folder: Path,
    kind: str,
    record: FileRecord,
    dtypes: Mapping[str, str],
    full: bool,
    names: list[str] | None = None,
) -> dict[str, NDArray[Any]]:
    path = folder / f"{record.id}.{kind}"
    listed = list(record.sections)
    if listed != (list(dtypes) if names is None else names):
        raise IndexCorruptError(f"{path}: the manifest does not list the sections of a {kind} file")
    return map_container(path, dtypes, record.sections, verify=full)


def open_deleted(folder: Path, record: SegmentRecord) -> Mask | None:
    """Which documents of a segment are live, or None where all are. Always verified: it is small."""
    deleted = record.deleted
    if deleted is None:
        return None
    path = folder / f"{deleted.file.id}.deleted"
    bits = _map(folder, "deleted", deleted.file, _DELETED_DTYPES, True)["bits"]
    if len(bits) != -(-record.n_docs // 8):
        raise IndexCorruptError(f"{path}: {len(bits)} bytes of tombstones for {record.n_docs} documents")
    flags = np.unpackbits(bits, bitorder="little").astype(bool)
    if int(flags.sum()) != deleted.count or flags[record.n_docs :].any():
        raise IndexCorruptError(f"{path}: the manifest counts {deleted.count} deleted documents")
    return ~flags[: record.n_docs]


def write_segment(
    writer: IndexWriter,
    vectors: SparseVectors,
    ids: IdColumn,
    table: pa.Table | None,
    config: BuildConfig,
    threads: int,
    empty: Empty = np.empty,
    words: Mapping[str, NDArray[Any]] | None = None,
) -> SegmentRecord:
    """Build a segment and write its files; `empty` makes the large arrays on the way, see `build_segment`.

    `words` are the word lists, where they are known already. Vectors that nobody else holds are freed as soon
    as their rows are made.

    Raises:
        StorageError: if the disk refuses.
    """
    from splade_engine.index.segment.build import add_lists, build_rows

    n_docs, nnz = len(vectors), vectors.nnz
    rows = build_rows(vectors, config, threads, empty)
    del vectors  # the rows hold them now: where both lie in files, the disk has their room again
    built = add_lists(rows, config, threads, empty)
    filled = {name for name, array in built.items() if len(array)}
    arrays = {name: np.asarray(built[name], dtype=POSTING_DTYPES[name]) for name in file_arrays(filled)}
    postings = writer.add_file("postings", arrays)
    ids_file = writer.add_file("ids", ids.arrays())
    payload = None if table is None else Payload(table)
    if config.words and words is None:
        words = build_words(table, n_docs)
    return SegmentRecord(
        n_docs=n_docs,
        nnz=nnz,
        postings=postings,
        ids=ids_file,
        payload=None if payload is None else writer.add_file("payload", payload.arrays()),
        columns=() if payload is None else payload.columns,
        words=writer.add_file("words", words) if config.words and words is not None else None,
    )


def copy_segment(writer: IndexWriter, segment: Segment) -> SegmentRecord:
    """Write the files of a segment of another index, byte for byte, under names of this one.

    Its tombstones are left behind.

    Raises:
        StorageError: if the disk refuses.
    """
    record = segment.record
    names = file_arrays(record.postings.sections)
    payload = segment.payload
    return SegmentRecord(
        n_docs=record.n_docs,
        nnz=record.nnz,
        postings=writer.add_file("postings", {name: segment.arrays[name] for name in names}),
        ids=writer.add_file("ids", segment.ids.arrays()),
        payload=None if payload is None else writer.add_file("payload", payload.arrays()),
        columns=record.columns,
        words=None if segment.words is None else writer.add_file("words", segment.words.arrays),
    )


def write_deleted(writer: IndexWriter, live: Mask) -> DeletedRecord:
    """Write the tombstones of a segment: one bit per document, set for those that are not in `live`."""
    bits = np.packbits(~live, bitorder="little")
    return DeletedRecord(int((~live).sum()), writer.add_file("deleted", {"bits": bits}))
