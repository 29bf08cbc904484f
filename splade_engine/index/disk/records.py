"""What a manifest records: segments, their files, payload columns, tombstones, tuned settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from splade_engine.index.disk.storage import FileRecord

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ColumnRecord:
    """A payload column: its name and its type, one of `payload.COLUMN_TYPES`; it may hold nulls or not."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class DeletedRecord:
    """The tombstones of a segment: how many documents are deleted, and the file that says which."""

    count: int
    file: FileRecord


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """An immutable part of the index: `n_docs` documents with `nnz` stored entries.

    Only `deleted` ever changes.
    """

    n_docs: int
    nnz: int
    postings: FileRecord
    ids: FileRecord
    payload: FileRecord | None = None
    columns: tuple[ColumnRecord, ...] = ()
    deleted: DeletedRecord | None = None
    words: FileRecord | None = None

    @property
    def live(self) -> int:
        """Number of documents that are not deleted."""
        return self.n_docs - (self.deleted.count if self.deleted else 0)

    def files(self) -> list[tuple[str, FileRecord]]:
        """(kind, record) of each file of the segment."""
        found = [("postings", self.postings), ("ids", self.ids)]
        if self.payload is not None:
            found.append(("payload", self.payload))
        if self.words is not None:
            found.append(("words", self.words))
        if self.deleted is not None:
            found.append(("deleted", self.deleted.file))
        return found


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """Search settings measured to reach `target` recall@k, with what was measured."""

    k: int
    target: float
    recall: float
    microseconds: float
    n_queries: int
    settings: Mapping[str, Scalar]
    # live documents that the index had then; None where an earlier release measured, which did not note it
    n_docs: int | None = None
    # hashes of some of those documents, as `measured_on` draws them; none where an earlier release measured
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is: its segments in order, the encoder of its vectors, how it was built and tuned."""

    generation: int
    n_terms: int
    segments: tuple[SegmentRecord, ...] = ()
    encoder: Mapping[str, str | int] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tuning: tuple[TuningRecord, ...] = ()

    @property
    def n_docs(self) -> int:
        """Number of documents, deleted ones included: the ordinals run from 0 to n_docs - 1."""
        return sum(s.n_docs for s in self.segments)

    @property
    def live(self) -> int:
        """Number of documents that are not deleted."""
        return sum(s.live for s in self.segments)

    def file_names(self) -> set[str]:
        """Every file that this generation needs, beside the manifest itself."""
        return {f"{record.id}.{kind}" for s in self.segments for kind, record in s.files()}

    def next(self, **changes: Any) -> Manifest:
        """The manifest of the generation after this one, with these fields changed."""
        return replace(self, generation=self.generation + 1, **changes)
