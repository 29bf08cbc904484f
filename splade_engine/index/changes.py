"""Building an index; adding, replacing, deleting and merging documents.

Each is one commit: all of it happens, or nothing. Every change starts from what is published when it holds
the lock, not from what the caller had opened, so changes of several processes follow one another and none is
lost.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many, first_twice
from splade_engine.errors import EncoderMismatchError, IndexLockedError, InvalidInputError
from splade_engine.index.arguments import check_budget
from splade_engine.index.auto_lists import chosen_lists
from splade_engine.index.config import BuildConfig, stored_build_config
from splade_engine.index.disk.ids import ID_ARRAYS, IdColumn
from splade_engine.index.disk.manifest import MAX_DOCS, MAX_SEGMENTS
from splade_engine.index.disk.publish import IndexWriter, new_index
from splade_engine.index.disk.records import Manifest, SegmentRecord, TuningRecord
from splade_engine.index.disk.storage import map_container
from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists
from splade_engine.index.measured_on import ADVICE
from splade_engine.index.merge import cost_of, join_segments
from splade_engine.index.opening import open_snapshot
from splade_engine.index.segment.segment import open_segment, write_deleted
from splade_engine.index.snapshot import Snapshot
from splade_engine.index.stream import IndexBatch, SegmentStream
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.encoder_record import describe_difference, same_encoder

logger = logging.getLogger(__name__)

_REHEARSED = 64  # documents: some blocks of them, which are put in order only where there are several
PATIENCE = 60.0  # seconds that what was measured waits for whoever holds the index
MERGE_RATIO = 0.5  # a segment joins the one before it when it holds at least this share of its live documents
MERGE_MEMORY = 1024  # MiB that a merge may take when it was not asked for: larger segments wait for `compact`


def build(
    folder: Path,
    batches: Iterable[IndexBatch],
    config: BuildConfig,
    *,
    encoder: Mapping[str, str | int] | None,
    encoder_folder: Path | None,
    overwrite: bool,
    threads: int,
    memory: int | None,
    progress: Progress,
) -> None:
    """Build an index in `folder`; an index that is there stays as it is until the commit.

    Raises:
        InvalidInputError, StorageError: as `SparseIndex.build`; a folder that was made is removed again.
    """
    with new_index(folder, overwrite=overwrite) as writer:
        # what the budget cuts is joined below: until then in the lists that take the least time and room
        parted = changed(config, lists=ImpactLists())
        stream = SegmentStream(writer, config, threads, memory, parts=parted)
        records = stream.consume(batches, progress=progress)
        if not records or stream.n_terms is None:
            raise InvalidInputError(f"{folder}: no documents to build an index from")
        chosen = _chosen(config, sum(r.n_docs for r in records))
        if len(records) > 1:  # the budget cut the stream, but a search is fastest in one segment
            parts = [open_segment(folder, record, stream.n_terms, "offsets") for record in records]
            records = join_segments(writer, parts, chosen, threads, memory, rewrite=chosen != parted)
        manifest = Manifest(
            generation=writer.generation,
            n_terms=stream.n_terms,
            segments=tuple(records),
            encoder=encoder,
            config=chosen.to_record(),
        )
        writer.commit_new(manifest, encoder_folder)


def add(
    folder: Path,
    opened: Snapshot,
    batches: Iterable[IndexBatch],
    *,
    replace: bool,
    threads: int,
    memory: int | None,
    progress: Progress,
    drop: Sequence[str] = (),
) -> int:
    """Add documents; returns how many were added, or with `replace` how many were replaced.

    Those of the ids in `drop` that are in the index are deleted by the same commit. Vectors for an index that
    has been built anew with another encoder since it was `opened` are refused.

    New documents form a segment at the end. While the last segment holds at least half as many live documents
    as the one before, the two are merged: so each document is rewritten a logarithmic number of times, and a
    collection that grows by single documents has a logarithmic number of segments.
    """
    check_many("drop", drop, ordered=False)
    drop = list(drop)
    check_budget(threads, memory)
    _rehearse(stored_build_config(opened.manifest.config), max(1, opened.manifest.n_terms))
    with IndexWriter(folder) as writer:
        snapshot = _open(writer, opened)
        manifest = snapshot.manifest
        _check_encoder(folder, opened.manifest, manifest)
        stream = SegmentStream(
            writer,
            stored_build_config(manifest.config),
            threads,
            memory,
            manifest.n_terms,
            first_ordinal=manifest.n_docs,
            find=snapshot.find,
        )
        records = stream.consume(batches, progress=progress)
        dropped = snapshot.find(drop) if drop else np.zeros(0, np.int64)
        dropped = dropped[dropped >= 0]
        if not records and not len(dropped):
            return 0
        _check_columns(snapshot, writer, records)
        twins = _twins(snapshot, writer, records)
        known = np.setdiff1d(twins, dropped)
        if not replace and len(known):
            row, id = _first_twin(writer, records, snapshot, known)
            raise InvalidInputError(f"document {row}: id {id!r} is in the index already")
        kept = _without(writer, snapshot, np.union1d(twins, dropped))
        segments = [*kept, *records]
        if sum(s.n_docs for s in segments) > MAX_DOCS:
            raise InvalidInputError(f"more than {MAX_DOCS} documents")
        if records:
            segments = _merge_tail(writer, snapshot, segments, threads, memory)
        _commit(writer, snapshot, segments)
        return len(twins) if replace else sum(r.n_docs for r in records)


@functools.lru_cache
def _rehearse(config: BuildConfig, n_terms: int) -> None:
    """Build a small segment in memory, so that its loops are compiled before the lock is taken.

    On a fresh cache of kernels that takes seconds, in which other writers would wait.
    """
    from splade_engine.index.segment.build import build_segment

    few = SparseVectors.from_dicts([{0: 0.5, i % n_terms: 1.0} for i in range(_REHEARSED)], n_terms)
    build_segment(few, config, threads=1)


def delete(folder: Path, opened: Snapshot, ids: Sequence[str]) -> int:
    """Write tombstones for these documents; returns their number."""
    check_many("ids", ids, ordered=False)
    ids = list(ids)
    if not ids:
        return 0
    with IndexWriter(folder) as writer:
        snapshot = _open(writer, opened)
        ordinals = snapshot.find(ids)
        if (ordinals < 0).any():
            unknown = ids[int(np.argmax(ordinals < 0))]
            raise InvalidInputError(f"delete: no document with id {unknown!r}")
        distinct = np.unique(ordinals)
        if len(distinct) != len(ids):
            twice = first_twice(ids)
            raise InvalidInputError(f"delete: id {twice!r} is given twice")
        _commit(writer, snapshot, _without(writer, snapshot, distinct))
    return len(ids)


def compact(
    folder: Path,
    opened: Snapshot,
    *,
    threads: int,
    memory: int | None,
    lists: str | ImpactLists | BlockLists | AutoLists | None = None,
) -> None:
    """Rewrite all live documents as one segment, or as few as the budget allows (`join_segments`).

    The posting lists stay of their kind unless `lists` says otherwise. Settings that `tune` measured on other
    lists are dropped then, and the log says both.
    """
    with IndexWriter(folder) as writer:
        snapshot = _open(writer, opened)
        manifest = snapshot.manifest
        stored = stored_build_config(manifest.config)
        config = stored if lists is None else _chosen(changed(stored, lists=lists), manifest.live)
        other = config != stored
        if not other and len(snapshot.segments) <= 1 and all(s.live is None for s in snapshot.segments):
            return
        records = join_segments(writer, snapshot.segments, config, threads, memory, rewrite=other)
        after = manifest.next(segments=tuple(records))
        if other:
            logger.info("%s: posting lists were %s and are %s now", folder, stored.lists, config.lists)
            if manifest.tuning:
                logger.warning("%s: tune it again, it was tuned with other posting lists", folder)
            after = changed(after, config=config.to_record(), tuning=())
        writer.commit(after)


def store_tuning(folder: Path, records: Sequence[TuningRecord], measured: Manifest) -> None:
    """Publish settings measured on one generation; they replace those for the same k and target.

    Measuring takes minutes: it is not lost because another process writes the index just then.

    Raises:
        IndexLockedError: the posting lists are of another kind by now, or of other vectors: nothing was
            measured of them. Or another process has held the index for a minute.
    """
    with IndexWriter(folder, wait=PATIENCE) as writer:
        manifest = writer.current()
        if (manifest.config, manifest.n_terms, manifest.encoder) != (
            measured.config,
            measured.n_terms,
            measured.encoder,
        ):
            raise IndexLockedError(f"{folder}: was built anew while it was measured; tune it again")
        new = {(r.k, r.target) for r in records}
        kept = [t for t in manifest.tuning if (t.k, t.target) not in new]
        together = sorted([*kept, *records], key=lambda t: (t.k, t.target))
        writer.commit(manifest.next(tuning=tuple(together)))


# ---- steps -------------------------------------------------------------------------------


def _chosen(config: BuildConfig, n_docs: int) -> BuildConfig:
    """The same with the posting lists that an index of so many documents gets."""
    return changed(config, lists=chosen_lists(config.lists, n_docs))


def _commit(writer: IndexWriter, before: Snapshot, segments: Sequence[SegmentRecord]) -> None:
    """Publish other documents; the log tells when the tuned settings were measured on others, or on fewer."""
    writer.commit(before.manifest.next(segments=tuple(segments)))
    if not before.manifest.tuning:
        return
    after = open_snapshot(writer.folder, "offsets", before)
    new = [told for was, told in zip(before.tuning_doubts, after.tuning_doubts, strict=True) if not was]
    told = next(filter(None, new), None)
    if told is not None:
        logger.warning("%s: %s: %s", writer.folder, told, ADVICE)


def _open(writer: IndexWriter, opened: Snapshot) -> Snapshot:
    """What is published now; segments that the caller has open, and so has verified, are not read again."""
    writer.current()  # says why there is no index, if there is none
    return open_snapshot(writer.folder, "full", opened)


def _check_encoder(folder: Path, opened: Manifest, published: Manifest) -> None:
    """Refuse vectors that were made for an index which has been built anew with another encoder meanwhile.

    Raises:
        EncoderMismatchError: naming what differs.
    """
    before, now = opened.encoder or {}, published.encoder or {}
    if not same_encoder(before, now):
        raise EncoderMismatchError(
            f"{folder}: was built anew with another encoder since it was opened "
            f"({describe_difference(before, now)}); open it again"
        )


def _check_columns(snapshot: Snapshot, writer: IndexWriter, records: Iterable[SegmentRecord]) -> None:
    added = [open_segment(writer.folder, r, snapshot.manifest.n_terms, "offsets").payload for r in records]
    snapshot.check_columns([payload.table for payload in added if payload is not None])


def _new_ids(writer: IndexWriter, record: SegmentRecord) -> IdColumn:
    path = writer.folder / f"{record.ids.id}.ids"
    return IdColumn(map_container(path, ID_ARRAYS, record.ids.sections, verify=False))


def _twins(snapshot: Snapshot, writer: IndexWriter, records: Sequence[SegmentRecord]) -> NDArray[np.int64]:
    """Ordinals of the live documents whose ids are among the new ones."""
    found = [np.zeros(0, np.int64)]
    for record in records:
        ids = _new_ids(writer, record)
        hashes = ids.hashes()
        for segment, base in zip(snapshot.segments, snapshot.bases.tolist(), strict=False):
            local = segment.ids.find_encoded(ids.offsets, ids.bytes, hashes)
            local = local[local >= 0]
            found.append((local if segment.live is None else local[segment.live[local]]) + base)
    return np.concatenate(found)


def _first_twin(
    writer: IndexWriter, records: Sequence[SegmentRecord], snapshot: Snapshot, twins: NDArray[np.int64]
) -> tuple[int, str]:
    names = snapshot.ids(twins)
    rows, base = [], 0
    for record in records:
        local = _new_ids(writer, record).find(names)
        rows += [(base + int(row), name) for row, name in zip(local, names, strict=True) if row >= 0]
        base += record.n_docs
    return min(rows)


def _without(writer: IndexWriter, snapshot: Snapshot, ordinals: NDArray[np.int64]) -> list[SegmentRecord]:
    """The records of the segments after deleting these ordinals.

    A segment without live documents is dropped.
    """
    records = {i: s.record for i, s in enumerate(snapshot.segments)}
    for i, _, local in snapshot.split(ordinals):
        segment = snapshot.segments[i]
        live = np.ones(len(segment), bool) if segment.live is None else segment.live.copy()
        live[local] = False
        if live.any():
            records[i] = changed(segment.record, deleted=write_deleted(writer, live))
        else:
            del records[i]
    return list(records.values())


def _merge_tail(
    writer: IndexWriter,
    snapshot: Snapshot,
    segments: list[SegmentRecord],
    threads: int,
    memory: int | None,
) -> list[SegmentRecord]:
    """Merge segments at the end while the last is not much smaller than the one before and memory lasts."""
    limit = (MERGE_MEMORY if memory is None else memory) << 20
    start = len(segments) - 1
    size, cost = segments[start].live, cost_of(segments[start])
    while start > 0 and size >= MERGE_RATIO * segments[start - 1].live:
        cost += cost_of(segments[start - 1])
        if cost > limit:
            break
        start -= 1
        size += segments[start].live
    tail = segments[start:]
    if len(tail) < 2:
        if len(segments) > MAX_SEGMENTS:
            raise InvalidInputError(f"more than {MAX_SEGMENTS} segments: compact the index first")
        return segments
    known = {s.record.postings.id: s for s in snapshot.segments}
    group = []
    for record in tail:
        old = known.get(record.postings.id)
        group.append(
            open_segment(writer.folder, record, snapshot.manifest.n_terms, "offsets")
            if old is None or old.record != record
            else old
        )
    config = stored_build_config(snapshot.manifest.config)
    return [*segments[:start], *join_segments(writer, group, config, threads, None)]
