"""Whether an index still holds the documents that its tuned settings were measured on.

A tuned setting remembers how many documents there were and some of them: those with the smallest hashes of
ids, which is a draw that needs no seed, and a hash of each one's vector. Merging keeps both, so that only
documents that were deleted or became others are missed. A number alone says nothing of that: an index whose
documents were all replaced has as many as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.files import digest_64
from splade_engine.index.disk.records import TuningRecord

if TYPE_CHECKING:
    from splade_engine.index.snapshot import Snapshot

# of the documents that were measured a third may be gone, and of those there are now a third may be new,
# before the recall is doubted
MOST_CHANGE = 1.5
ADVICE = "tune it again, its recall may be another"  # behind a doubt
DRAWN = 64  # so that the share that is left is known to .06


def drawn_documents(snapshot: Snapshot) -> tuple[str, ...]:
    """What is remembered of the live documents: 16 digits of an id's hash and 16 of its vector, each."""
    pairs: list[tuple[int, int, int]] = []
    for number, segment in enumerate(snapshot.segments):
        order = segment.ids.sorted_ordinal
        places = np.flatnonzero(np.ones(len(order), bool) if segment.live is None else segment.live[order])
        first = places[:DRAWN]
        hashes, ordinals = segment.ids.sorted_hash[first].tolist(), order[first].tolist()
        pairs += [(h, number, ordinal) for h, ordinal in zip(hashes, ordinals, strict=True)]
    return tuple(
        f"{hashed:016x}{_hash_of_row(snapshot, number, ordinal):016x}"
        for hashed, number, ordinal in sorted(pairs)[:DRAWN]
    )


def doubts(snapshot: Snapshot) -> tuple[str | None, ...]:
    """Of each tuned setting of the manifest what speaks against its recall by now, or None.

    Of several indexes that are searched as one each was measured for itself, so the first doubt counts.
    """
    if snapshot.shards:
        by_goal = [
            {(t.k, t.target): told for t, told in zip(shard.manifest.tuning, doubts(shard), strict=True)}
            for shard in snapshot.shards
        ]
        goals = [(t.k, t.target) for t in snapshot.manifest.tuning]
        return tuple(next(filter(None, (told[goal] for told in by_goal)), None) for goal in goals)
    left: dict[tuple[str, ...], float] = {}  # settings that were measured together remember the same
    found = []
    for record in snapshot.manifest.tuning:
        if record.documents not in left:
            left[record.documents] = _share_left(snapshot, record.documents)
        found.append(_doubt(record, snapshot.manifest.live, left[record.documents]))
    return tuple(found)


def _doubt(record: TuningRecord, live: int, left: float) -> str | None:
    if record.n_docs is None:
        return None  # an earlier release measured, which noted nothing
    if not record.n_docs / MOST_CHANGE <= live <= record.n_docs * MOST_CHANGE:
        return f"was tuned with {record.n_docs:,} documents and has {live:,} now"
    if left * record.n_docs * MOST_CHANGE < max(record.n_docs, live):
        return f"holds about {left:.0%} of the {record.n_docs:,} documents that it was tuned with"
    return None


def _share_left(snapshot: Snapshot, documents: tuple[str, ...]) -> float:
    """How many of these documents are in the index as they were; 1 where none were remembered."""
    if not documents:
        return 1.0
    there = 0
    for one in documents:
        hashed, row = int(one[:16], 16), int(one[16:], 16)
        there += any(_hash_of_row(snapshot, *place) == row for place in _places(snapshot, hashed))
    return there / len(documents)


def _places(snapshot: Snapshot, hashed: int) -> Iterator[tuple[int, int]]:
    """(segment, ordinal there) of each live document with this hash of its id."""
    wanted = np.uint64(hashed)
    for number, segment in enumerate(snapshot.segments):
        hashes: NDArray[np.uint64] = segment.ids.sorted_hash
        first, last = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
        for ordinal in segment.ids.sorted_ordinal[first:last].tolist():
            if segment.live is None or segment.live[ordinal]:
                yield number, ordinal


def _hash_of_row(snapshot: Snapshot, number: int, ordinal: int) -> int:
    terms, weights = snapshot.segments[number].searcher.vectors(np.array([ordinal])).row(0)
    return digest_64(np.ascontiguousarray(terms).tobytes() + np.ascontiguousarray(weights).tobytes())
