"""What an index holds, told from its manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from splade_engine.index.auto_lists import chosen_lists
from splade_engine.index.config import stored_build_config
from splade_engine.index.disk.ids import ID_ARRAYS
from splade_engine.index.disk.manifest import version_of
from splade_engine.index.disk.payload import joined_type, payload_dtypes
from splade_engine.index.disk.records import SegmentRecord
from splade_engine.index.disk.storage import offsets_of
from splade_engine.index.lists import BlockLists, ImpactLists
from splade_engine.index.segment.segment import POSTING_DTYPES
from splade_engine.index.snapshot import Snapshot
from splade_engine.index.words.lists import WORD_ARRAYS

NAMED = 20  # documents that stand in no list whose ids are told


@dataclass(frozen=True)
class TunedSetting:
    """Measured search settings.

    At this k they reach `target` with 90 % confidence, if `n_queries` is 30 or more (`tuning.py`): `recall`
    of the exact hits were found on queries that had no part in choosing them, in `microseconds` per query.
    """

    k: int
    target: float
    recall: float
    microseconds: float
    n_queries: int
    settings: Mapping[str, object]
    # live documents of the index then; None where an earlier release measured
    n_docs: int | None = None
    # whether the index still holds most of them, and not many others
    current: bool = field(init=False)
    # what speaks against that, for a person; "" for nothing
    doubt: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "current", not self.doubt)


@dataclass(frozen=True)
class IndexInfo:
    """What an index holds.

    Attributes:
        n_docs: live documents; n_deleted: deleted ones that a compaction would drop.
        bytes: size of all files on disk, by kind ("postings", "ids", "payload", "deleted", "manifest").
        columns: name and type of the payload columns.
        tuned: the settings that `tune` stored; empty where defaults are used.
        lists: how posting lists are stored, with all parameters.
        n_pruned: stored terms of documents that the lists leave out; exact search finds them all the same.
        n_unlisted: documents with terms that stand in no list; unlisted: the ids of the first 20 of them.
        fingerprint: xxh3-128 of the manifest, which holds the checksums of everything else: pin it to know
            that an index is the one you built.
    """

    path: Path
    format_version: int
    generation: int
    n_docs: int
    n_deleted: int
    n_segments: int
    n_terms: int
    nnz: int
    bytes: Mapping[str, int]
    columns: Mapping[str, str]
    encoder: Mapping[str, str | int] | None
    config: Mapping[str, object]
    tuned: tuple[TunedSetting, ...]
    fingerprint: str
    lists: ImpactLists | BlockLists
    n_pruned: int
    n_unlisted: int
    unlisted: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """Size of the whole index on disk."""
        return sum(self.bytes.values())

    @property
    def terms_per_doc(self) -> float:
        """Mean number of stored terms of a document, deleted ones included."""
        return self.nnz / max(1, self.n_docs + self.n_deleted)


def index_info(path: Path, snapshot: Snapshot) -> IndexInfo:
    """What this generation of the index in the folder `path` holds."""
    manifest = snapshot.manifest
    sizes: dict[str, int] = {"manifest": snapshot.manifest_bytes}
    columns: dict[str, str] = {}
    for record in manifest.segments:
        for kind, size in file_sizes(record).items():
            sizes[kind] = sizes.get(kind, 0) + size
        for column in record.columns:
            columns[column.name] = joined_type(column.name, columns.get(column.name), column.type)
    return IndexInfo(
        path=path,
        format_version=version_of(manifest),
        generation=manifest.generation,
        n_docs=manifest.live,
        n_deleted=manifest.n_docs - manifest.live,
        n_segments=len(manifest.segments),
        n_terms=manifest.n_terms,
        nnz=sum(s.nnz for s in manifest.segments),
        bytes=sizes,
        columns=columns,
        encoder=None if manifest.encoder is None else dict(manifest.encoder),
        config=dict(manifest.config),
        tuned=tuple(
            TunedSetting(
                t.k,
                t.target,
                t.recall,
                t.microseconds,
                t.n_queries,
                t.settings,
                t.n_docs,
                doubt or "",
            )
            for t, doubt in zip(manifest.tuning, snapshot.tuning_doubts, strict=True)
        ),
        fingerprint=snapshot.fingerprint,
        lists=chosen_lists(stored_build_config(manifest.config).lists, manifest.n_docs),
        n_pruned=sum(_count_pruned(s) for s in manifest.segments),
        n_unlisted=sum(_count(s, "block_unlisted") for s in manifest.segments),
        unlisted=_unlisted_ids(snapshot),
    )


def _count(record: SegmentRecord, section: str) -> int:
    sections = record.postings.sections
    return sections[section].count if section in sections else 0


def _count_pruned(record: SegmentRecord) -> int:
    return record.nnz - _count(record, "block_codes") if "block_codes" in record.postings.sections else 0


def _unlisted_ids(snapshot: Snapshot) -> tuple[str, ...]:
    found: list[str] = []
    for segment in snapshot.segments:
        found += segment.ids.take(segment.arrays["block_unlisted"][: NAMED - len(found)].astype(np.int64))
    return tuple(found)


def file_sizes(record: SegmentRecord) -> dict[str, int]:
    """Bytes of each file of a segment, from the manifest."""
    dtypes = {
        "postings": POSTING_DTYPES,
        "ids": ID_ARRAYS,
        "payload": payload_dtypes(record.columns),
        "words": WORD_ARRAYS,
        "deleted": {"bits": "|u1"},
    }
    return {
        kind: offsets_of([np.dtype(dtypes[kind][n]).itemsize * s.count for n, s in file.sections.items()])[-1]
        for kind, file in record.files()
    }
