"""Opening the generation of an index that is published in its folder, while a writer may publish the next."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from splade_engine.errors import IndexCorruptError, StorageError
from splade_engine.index.arguments import default_threads
from splade_engine.index.config import stored_build_config
from splade_engine.index.disk.publish import MANIFEST, read_manifest
from splade_engine.index.disk.records import Manifest, SegmentRecord
from splade_engine.index.effort import stored_work
from splade_engine.index.segment.list_kinds import listed_lists
from splade_engine.index.segment.segment import Segment, Verify, open_deleted, open_segment, structure_errors
from splade_engine.index.snapshot import Snapshot

_ATTEMPTS = 100  # each failed one needs a writer that published in between


def open_snapshot(folder: Path, verify: Verify, previous: Snapshot | None = None) -> Snapshot:
    """Open the generation that is published in `folder`; segments that `previous` holds are not opened again.

    A writer may publish and delete the files of this generation between the reading of the manifest and the
    opening of the files. Then there is a newer manifest, and it is read instead.

    Raises:
        IndexNotFoundError, IndexVersionError, IndexCorruptError, StorageError: as the class tells.
    """
    for attempt in range(_ATTEMPTS):
        manifest, data = read_manifest(folder)
        try:
            segments = _open_segments(folder, manifest, verify, previous)
        except (IndexCorruptError, StorageError):
            if attempt == _ATTEMPTS - 1 or read_manifest(folder)[1] == data:
                raise
            continue
        with structure_errors(folder / MANIFEST):
            check_settings(manifest)
        if verify == "full":
            _check_unique(folder, segments)
        return Snapshot.of(manifest, segments, data)
    raise AssertionError("unreachable")


def check_settings(manifest: Manifest) -> None:
    """Raises IndexCorruptError if any stored settings are not valid, or not those of a segment."""
    lists = stored_build_config(manifest.config).lists
    for number, segment in enumerate(manifest.segments):
        found = listed_lists(segment.postings.sections).name
        if isinstance(lists, str) or found != lists.kind:
            raise IndexCorruptError(f"segment {number} has lists of the kind {found}, not as config says")
    for record in manifest.tuning:
        stored_work(record.settings)


def _open_segments(
    folder: Path, manifest: Manifest, verify: Verify, previous: Snapshot | None
) -> list[Segment]:
    known = {} if previous is None else {s.record.postings.id: s for s in previous.segments}

    def opened(record: SegmentRecord) -> Segment:
        same = known.get(record.postings.id)
        if same is None or replace(same.record, deleted=None) != replace(record, deleted=None):
            return open_segment(folder, record, manifest.n_terms, verify)
        return same if same.record == record else same.with_deleted(record, open_deleted(folder, record))

    threads = min(len(manifest.segments), default_threads())
    if threads > 1:  # checksums and array operations release the GIL
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(opened, manifest.segments))
    return [opened(record) for record in manifest.segments]


def _check_unique(folder: Path, segments: Sequence[Segment]) -> None:
    """Raises IndexCorruptError if an id is live in two segments."""
    for i, a in enumerate(segments):
        for b in segments[:i]:
            twice = live_twin(a, b)
            if twice is not None:
                raise IndexCorruptError(f"{folder}: id {ascii(twice)[:80]} is live in two segments")


def live_twin(a: Segment, b: Segment) -> str | None:
    """An id that is live in both segments, or None.

    Found by probing the larger hash column with the smaller one.
    """
    small, large = (a, b) if len(a) < len(b) else (b, a)
    hashes = small.ids.sorted_hash
    place = np.searchsorted(large.ids.sorted_hash, hashes)
    place[place == len(large)] = 0
    twins = np.flatnonzero(large.ids.sorted_hash[place] == hashes)
    if not len(twins):
        return None
    local = small.ids.sorted_ordinal[twins].astype(np.int64)
    if small.live is not None:
        local = local[small.live[local]]
    found = large.ids.find_encoded(*small.ids.select(local), small.ids.hashes()[local])
    hit = found >= 0
    if large.live is not None:
        hit[hit] = large.live[found[hit]]
    return small.ids.take(local[hit][:1])[0] if hit.any() else None
