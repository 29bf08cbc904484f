"""Segments into fewer segments: in memory, or in files on the way where memory is short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.config import BuildConfig
from splade_engine.index.disk.ids import IdColumn
from splade_engine.index.disk.payload import join_tables
from splade_engine.index.disk.publish import IndexWriter
from splade_engine.index.disk.records import SegmentRecord
from splade_engine.index.disk.storage import scratch_array
from splade_engine.index.info import file_sizes
from splade_engine.index.segment.arrays import Empty
from splade_engine.index.segment.list_kinds import listed_lists
from splade_engine.index.segment.segment import Segment, write_segment
from splade_engine.index.stream import segment_cost
from splade_engine.index.words.build import join_words
from splade_engine.vectors import SparseVectors

_ENTRIES = 1 << 18  # copied at a time: about 8 MiB
# Ids and payload are joined in memory: their bytes as read, joined, and sorted (20 bytes a document and as
# many on the way)
_SIDE_COPIES = 3
_BYTES_PER_ID = 40


def join_segments(
    writer: IndexWriter,
    segments: Sequence[Segment],
    config: BuildConfig,
    threads: int,
    memory: int | None,
    *,
    rewrite: bool = False,
) -> list[SegmentRecord]:
    """Rewrite the live documents of all segments, in order, as one segment.

    With a budget of `memory` MiB there may be several: neighbours are joined as far as their ids and payload
    fit into it; vectors and lists, which are larger, go through files. A segment that stays alone and has no
    deleted documents is not rewritten, unless `rewrite` says that it is not stored as `config` says.
    """
    records: list[SegmentRecord] = []
    for group in groups(segments, memory):
        if len(group) == 1 and group[0].live is None and not rewrite:
            records.append(group[0].record)
        elif any(s.record.live for s in group):
            records.append(join_group(writer, group, config, threads, memory))
    return records


def cost_of(record: SegmentRecord) -> int:
    """Peak bytes of memory that building this segment takes."""
    payload = file_sizes(record).get("payload", 0)
    kind = listed_lists(record.postings.sections)
    return segment_cost(record.nnz, record.n_docs, payload) + kind.build_cost(record.nnz, record.n_docs)


def groups(segments: Sequence[Segment], memory: int | None) -> Iterator[list[Segment]]:
    """Neighbours whose ids and payload fit into the budget together."""
    group: list[Segment] = []
    cost = 0
    for segment in segments:
        sizes = file_sizes(segment.record)
        own = _BYTES_PER_ID * len(segment) + _SIDE_COPIES * (sizes["ids"] + sizes.get("payload", 0))
        if group and memory is not None and cost + own > memory << 20:
            yield group
            group, cost = [], 0
        group.append(segment)
        cost += own
    if group:
        yield group


def join_group(
    writer: IndexWriter, group: Sequence[Segment], config: BuildConfig, threads: int, memory: int | None
) -> SegmentRecord:
    """The live documents of these segments, in order, as one segment."""
    fits = memory is None or sum(cost_of(s.record) for s in group) <= memory << 20

    def empty(count: int, dtype: Any) -> NDArray[Any]:
        return np.empty(count, dtype) if fits else scratch_array(writer.folder, count, dtype)

    live = [s for s in group if s.record.live]
    parts = [s.live_ids() for s in live]
    starts = np.cumsum([0, *(len(p.bytes) for p in parts)])
    offsets = [p.offsets[1:] + start for p, start in zip(parts, starts.tolist(), strict=False)]
    ids = IdColumn.from_encoded(
        np.concatenate([np.zeros(1, np.int64), *offsets]), np.concatenate([p.bytes for p in parts])
    )
    table = join_tables([(s.live_payload(), s.record.live) for s in live])
    listed = [(s.words, s.live) for s in live if s.words is not None]
    # where a segment has none, as one of an index that had none, the lists are made anew of the texts
    words = join_words(listed) if config.words and len(listed) == len(live) else None
    # the vectors have no name here, so that they can be freed on the way
    return write_segment(writer, _live_vectors(live, empty), ids, table, config, threads, empty, words)


def _live_vectors(segments: Sequence[Segment], empty: Empty) -> SparseVectors:
    """The stored vectors of all live documents, one after the other."""
    lengths = [np.diff(s.arrays["doc_offsets"])[s.live_ordinals] for s in segments]
    ptr = empty(sum(map(len, lengths)) + 1, np.int64)
    ptr[0] = 0
    np.cumsum(np.concatenate(lengths), out=ptr[1:])
    terms, weights = empty(int(ptr[-1]), np.int32), empty(int(ptr[-1]), np.float32)
    at = 0
    for segment in segments:
        ordinals = segment.live_ordinals
        step = max(1, _ENTRIES * len(segment) // max(1, segment.record.nnz))
        for first in range(0, len(ordinals), step):
            part = segment.searcher.vectors(ordinals[first : first + step])
            terms[at : at + part.nnz], weights[at : at + part.nnz] = part.terms, part.weights
            at += part.nnz
    return SparseVectors.from_valid(ptr, terms, weights, segments[0].n_terms)
