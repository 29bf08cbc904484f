"""One generation of an index, opened: its manifest and its segments.

Immutable; readers keep theirs for life.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.index.disk.ids import encode_sought, hash_ids
from splade_engine.index.disk.payload import beyond_float, check_joined
from splade_engine.index.disk.records import Manifest, TuningRecord
from splade_engine.index.disk.storage import digest
from splade_engine.index.filter.nested import NestedKinds
from splade_engine.index.segment.segment import Segment
from splade_engine.vectors import SparseVectors

Value = TypeVar("Value")


@dataclass(frozen=True)
class Snapshot:
    """A generation of the index.

    Attributes:
        bases: int64[n_segments + 1]: segment s holds the ordinals from bases[s] to bases[s + 1] - 1.
        fingerprint: xxh3-128 of the manifest file; manifest_bytes: its size.
        masks: what the filters asked for last let through, see `search.allowed_documents`.
        shards: of the indexes whose segments these are, where there are several; empty for one index.
    """

    manifest: Manifest
    segments: tuple[Segment, ...]
    bases: NDArray[np.int64]
    fingerprint: str
    manifest_bytes: int
    masks: dict[str, list[NDArray[np.bool_] | None]] = field(default_factory=dict, repr=False, compare=False)
    shards: tuple[Snapshot, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest, segments: Sequence[Segment], data: bytes) -> Snapshot:
        """Number the documents of the segments through."""
        bases = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(s) for s in segments], dtype=np.int64)))
        return cls(manifest, tuple(segments), bases, digest(data), len(data))

    @classmethod
    def of_shards(cls, shards: Sequence[Snapshot], generation: int) -> Snapshot:
        """Several indexes as one: the segments of the first, then those of the second, and so on."""
        first = shards[0].manifest
        manifest = Manifest(
            generation=generation,
            n_terms=first.n_terms,
            segments=tuple(record for shard in shards for record in shard.manifest.segments),
            encoder=first.encoder,
            config=first.config,
            tuning=_common_tuning([shard.manifest for shard in shards]),
        )
        segments = [segment for shard in shards for segment in shard.segments]
        prints = "\n".join([str(generation), *(shard.fingerprint for shard in shards)])
        together = cls.of(manifest, segments, prints.encode())
        size = sum(shard.manifest_bytes for shard in shards)
        return replace(together, manifest_bytes=size, shards=tuple(shards))

    def split(self, ordinals: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """(segment, places in `ordinals`, ordinals within the segment) for each segment that is concerned.

        Raises:
            InvalidInputError: for an ordinal that the index does not have.
        """
        wrong = (ordinals < 0) | (ordinals >= self.bases[-1])
        if wrong.any():
            bad, last = int(ordinals[np.argmax(wrong)]), int(self.bases[-1]) - 1
            raise InvalidInputError(f"ordinal {bad} of an index with ordinals 0 to {last}")
        if len(self.segments) == 1:  # most indexes: a search of a small one takes 10 us less
            return [(0, np.arange(len(ordinals)), ordinals)] if len(ordinals) else []
        owner = np.searchsorted(self.bases, ordinals, side="right") - 1
        parts = []
        for s in np.unique(owner).tolist():
            places = np.flatnonzero(owner == s)
            parts.append((s, places, ordinals[places] - self.bases[s]))
        return parts

    def gather(
        self, ordinals: NDArray[np.int64], read: Callable[[Segment, NDArray[np.int64]], Sequence[Value]]
    ) -> list[Value]:
        """`read(segment, local ordinals)` of every segment concerned, in the order of `ordinals`."""
        parts = self.split(ordinals)
        if len(self.segments) == 1:
            return [value for s, _, local in parts for value in read(self.segments[s], local)]
        found: dict[int, Value] = {}
        for s, places, local in parts:
            found.update(zip(places.tolist(), read(self.segments[s], local), strict=True))
        return [found[place] for place in range(len(ordinals))]

    def ids(self, ordinals: NDArray[np.int64]) -> list[str]:
        """The ids of these ordinals, deleted documents included."""
        return self.gather(ordinals, lambda segment, local: segment.ids.take(local))

    def live_ordinals(self) -> NDArray[np.int64]:
        """The ordinals of the documents that are not deleted."""
        parts = [s.live_ordinals + base for s, base in zip(self.segments, self.bases.tolist(), strict=False)]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def vectors(self, ordinals: NDArray[np.int64]) -> SparseVectors:
        """The stored vectors of these documents, in this order."""
        parts, order = [SparseVectors.empty(self.manifest.n_terms)], [np.zeros(0, np.int64)]
        for s, places, local in self.split(ordinals):
            parts.append(self.segments[s].searcher.vectors(local))
            order.append(places)
        together, places = SparseVectors.concat(parts), np.concatenate(order)
        return together if (np.diff(places) > 0).all() else together[np.argsort(places)]

    def payload(self, ordinals: NDArray[np.int64], without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The stored row of each of these documents; {} where a segment has no payload."""
        return self.gather(
            ordinals,
            lambda segment, local: (
                [{}] * len(local) if segment.payload is None else segment.payload.rows(local, without)
            ),
        )

    def column(self, name: str, ordinals: NDArray[np.int64]) -> list[Any]:
        """The value of a column, or at a path into objects, of each document; None where it has none.

        Raises:
            InvalidInputError: as `check_column`.
        """
        from splade_engine.index.filter.evaluate import stored_column

        self.check_column(name, "column")
        kind = self.nested_kinds.of(name)

        def read(segment: Segment, local: NDArray[np.int64]) -> list[Any]:
            table = None if segment.payload is None else segment.payload.table
            column = stored_column(table, name, kind)
            values: list[Any] = (
                [None] * len(local) if column is None else column.take(pa.array(local)).to_pylist()
            )
            return values

        return self.gather(ordinals, read)

    def beginnings(self, name: str, ordinals: NDArray[np.int64], length: int) -> list[tuple[str, bool]]:
        """The first `length` characters of a text column, and whether there is more; it is not read."""

        def read(segment: Segment, local: NDArray[np.int64]) -> list[tuple[str, bool]]:
            table = None if segment.payload is None else segment.payload.table
            if table is None or name not in table.column_names:
                return [("", False)] * len(local)
            column = table.column(name)
            return [_beginning(column.slice(i, 1), length) for i in local.tolist()]

        return self.gather(ordinals, read)

    def check_column(self, name: str, what: str) -> None:
        """Raises InvalidInputError where no document has such a column, or such a path into an object."""
        known = {c.name for s in self.manifest.segments for c in s.columns}
        if name in known or not self.segments:
            return
        if self.nested_kinds.of(name) is not None:
            return
        there = ", ".join(sorted(name for name in known if not name.startswith("_"))[:20]) or "none"
        twin = next((known_name for known_name in sorted(known) if known_name.lower() == name.lower()), None)
        meant = "" if twin is None else f"; did you mean {twin!r:.80}?"
        raise InvalidInputError(f"{what}: no column {name!r:.80}; the index has: {there}{meant}")

    @cached_property
    def nested_kinds(self) -> NestedKinds:
        """What stands at the paths into objects, over all segments."""
        types = [(c.name, c.type) for s in self.manifest.segments for c in s.columns]
        return NestedKinds([None if s.payload is None else s.payload.table for s in self.segments], types)

    def text_columns(self, names: Sequence[str]) -> pa.Table:
        """Columns of text and the `id` of every document that is not deleted; null where there is no text."""
        parts = []
        for segment in self.segments:
            live = segment.live_ordinals
            columns = {"id": pa.array(segment.ids.take(live), pa.large_string())}
            table = None if segment.payload is None else segment.payload.table
            for name in names:
                column = table[name] if table is not None and name in table.column_names else None
                if column is None or not pa.types.is_large_string(column.type):
                    columns[name] = pa.nulls(len(live), pa.large_string())
                else:
                    columns[name] = column if segment.live is None else column.take(pa.array(live))
            parts.append(pa.table(columns))
        empty = pa.schema([(name, pa.large_string()) for name in ("id", *names)]).empty_table()
        return pa.concat_tables([empty, *parts])

    @cached_property
    def mean_words(self) -> float:
        """Mean number of words of the live documents, 1 where they have none, by the word lists."""
        lengths = [
            int((s.words.lengths if s.live is None else s.words.lengths[s.live]).sum(dtype=np.int64))
            for s in self.segments
            if s.words is not None
        ]
        return (sum(lengths) / max(1, self.manifest.live)) or 1.0

    @cached_property
    def tuning_doubts(self) -> tuple[str | None, ...]:
        """Of each tuned setting what speaks against its recall by now (`measured_on.doubts`)."""
        from splade_engine.index.measured_on import doubts

        return doubts(self)

    def is_beyond_float(self, name: str) -> bool:
        """Whether a column holds whole numbers beyond 2^53, which a float might change."""
        tables = (segment.payload.table for segment in self.segments if segment.payload is not None)
        return any(beyond_float(table.column(name)) for table in tables if name in table.column_names)

    def check_columns(self, added: Sequence[pa.Table]) -> None:
        """Raises InvalidInputError if documents with these payloads cannot be added, naming the column."""
        there = [segment.payload.table for segment in self.segments if segment.payload is not None]
        check_joined([*there, *added])

    def document_frequencies(self) -> NDArray[np.int64]:
        """int64[V]: how many live documents hold each term.

        It is the lengths of the lists, less what is deleted.
        """
        total = np.zeros(self.manifest.n_terms, np.int64)
        for segment in self.segments:
            total[segment.arrays["term_ids"]] += segment.frequencies()
            if segment.live is not None:
                gone = segment.searcher.vectors(np.flatnonzero(~segment.live))
                total -= np.bincount(gone.terms, minlength=len(total))
        return total

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """int64[len(ids)]: ordinal of the live document with each id, -1 where there is none."""
        places, offsets, data = encode_sought(ids)
        hashes = hash_ids(offsets, data)
        found = np.full(len(ids), -1, np.int64)
        for segment, base in zip(self.segments, self.bases.tolist(), strict=False):
            local = segment.ids.find_encoded(offsets, data, hashes)
            hit = np.flatnonzero(local >= 0)
            if segment.live is not None:
                hit = hit[segment.live[local[hit]]]
            found[places[hit]] = local[hit] + base
        return found


def _common_tuning(manifests: Sequence[Manifest]) -> tuple[TuningRecord, ...]:
    """What all shards were tuned for: the lowest recall of them, and the times of all together."""
    by_goal = [{(t.k, t.target): t for t in manifest.tuning} for manifest in manifests]
    found = []
    for goal, first in by_goal[0].items():
        if all(goal in tuned for tuned in by_goal):
            there = [tuned[goal] for tuned in by_goal]
            found.append(
                replace(
                    first,
                    recall=min(t.recall for t in there),
                    microseconds=sum(t.microseconds for t in there),
                    n_queries=min(t.n_queries for t in there),
                    n_docs=_sum_known([t.n_docs for t in there]),
                    documents=(),  # each shard remembers its own
                )
            )
    return tuple(found)


def _sum_known(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _beginning(cell: pa.ChunkedArray, length: int) -> tuple[str, bool]:
    # a slice shares the mapped bytes: of a text of 100 MB only its beginning becomes a string
    part = pc.utf8_slice_codeunits(cell, 0, length + 1)[0].as_py() or ""
    return part[:length], len(part) > length
