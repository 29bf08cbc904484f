"""Why a document is, or is not, among the hits of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import Exact
from splade_engine.index.search import Plan, allowed_documents, search
from splade_engine.index.segment.miss import Miss
from splade_engine.index.snapshot import Snapshot
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index.filter.parse import Where

_FIRST_DEPTH = 1000  # hits among which the rank is looked for first; ten times as many each further time


@dataclass(frozen=True)
class Placement:
    """Where a document stands for a query.

    Attributes:
        reason: "hit"; "not in the index"; "deleted"; "filtered" (by `where`); "no shared term"; "score
            too low" (others are better); or "missed" (good enough, but the approximate search did not look).
        ordinal: of the document, -1 where it is not in the index.
        score: exact, 0 where no term is shared.
        rank: among all documents that may be returned, from 1, by exact score; 0 where it has no score.
        found_rank: in the search that was asked about, from 1; 0 where it is no hit.
        last_score: score of the last of the k hits, 0 where there are fewer.
        terms: (term id, query weight, document weight) of each shared term, largest product first.
        miss: of a document that was missed, at which step of the search and by how much; else None.
    """

    reason: str
    ordinal: int
    score: float
    rank: int
    found_rank: int
    last_score: float
    terms: tuple[tuple[int, float, float], ...]
    miss: Miss | None = None


def explain_placement(
    snapshot: Snapshot, query: SparseVectors, id: str, k: int, plan: Plan, where: Where | None
) -> Placement:
    """Explain the place of the document `id` in a search for `query` (a batch of one).

    Raises:
        InvalidInputError: if there is not exactly one query.
    """
    if len(query) != 1:
        raise InvalidInputError(f"explain: one query, got {len(query)}")
    ordinal, reason = _locate(snapshot, id, where)
    if ordinal < 0:
        return Placement(reason, -1, 0.0, 0, 0, 0.0, ())
    terms = _shared(query, snapshot.vectors(np.array([ordinal])))
    if reason:
        return Placement(reason, ordinal, 0.0, 0, 0, 0.0, terms)
    found = search(snapshot, query, k, plan, 1, where)
    hits, scores = found.ordinals[0].tolist(), found.scores[0].tolist()
    last = scores[-1] if hits[-1] >= 0 else 0.0
    score, rank = _exact(snapshot, query, ordinal, where)
    if ordinal in hits:
        return Placement("hit", ordinal, score, rank, hits.index(ordinal) + 1, last, terms)
    reason = "no shared term" if not rank else "missed" if rank <= k else "score too low"
    miss = _miss(snapshot, query, ordinal, k, plan, where) if reason == "missed" else None
    return Placement(reason, ordinal, score, rank, 0, last, terms, miss)


def _miss(
    snapshot: Snapshot, query: SparseVectors, ordinal: int, k: int, plan: Plan, where: Where | None
) -> Miss | None:
    """At which step the search lost a document that is good enough."""
    ((number, _, local),) = snapshot.split(np.array([ordinal]))
    segment, work = snapshot.segments[number], plan.works(snapshot)[number]
    allowed = allowed_documents(snapshot, where)[number]
    width = min(k, len(segment))
    return segment.searcher.miss(query, width, work, int(local[0]), allowed=allowed)


def _locate(snapshot: Snapshot, id: str, where: Where | None) -> tuple[int, str]:
    """The ordinal of the document, live or deleted, and why it cannot be a hit, or ""."""
    ordinal = int(snapshot.find([id])[0])
    if ordinal < 0:
        for segment, base in zip(snapshot.segments, snapshot.bases.tolist(), strict=False):
            local = int(segment.ids.find([id])[0])
            if local >= 0:
                return base + local, "deleted"
        return -1, "not in the index"
    ((number, _, local_ordinals),) = snapshot.split(np.array([ordinal]))
    allowed = allowed_documents(snapshot, where)[number]
    hidden = allowed is not None and not allowed[local_ordinals[0]]
    return ordinal, "filtered" if hidden else ""


def _shared(query: SparseVectors, document: SparseVectors) -> tuple[tuple[int, float, float], ...]:
    asked, held = query.to_dicts()[0], document.to_dicts()[0]
    rows = [(term, asked[term], held[term]) for term in asked.keys() & held.keys()]
    return tuple(sorted(rows, key=lambda row: (-row[1] * row[2], row[0])))


def _exact(snapshot: Snapshot, query: SparseVectors, ordinal: int, where: Where | None) -> tuple[float, int]:
    """Exact score and rank; (0, 0) where the document is not among all the hits there are."""
    depth, n = _FIRST_DEPTH, int(snapshot.bases[-1])
    while True:
        found = search(snapshot, query, min(depth, n), Plan(Exact(), shared=False), 1, where)
        places = np.flatnonzero(found.ordinals[0] == ordinal)
        if len(places):
            return float(found.scores[0, places[0]]), int(places[0]) + 1
        if depth >= n or found.ordinals[0, -1] < 0:
            return 0.0, 0
        depth *= 10
