"""At which step an approximate search over lists in order of impact lost a document, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from splade_engine.index.segment.miss import Miss

if TYPE_CHECKING:
    from splade_engine.index.kernels.groups import Allowed, Limits, Lists, Queries, Scratch


def find_miss(
    lists: Lists, scratch: Scratch, limits: Limits, queries: Queries, allowed: Allowed, doc: int, n_docs: int
) -> Miss | None:
    """What became of document `doc` in the search for the one query of a batch; None where it was scored.

    As in `miss.py`, the search is repeated by its own functions.

    Args:
        lists: of the segment.
        scratch: room to work in, clean.
        limits: of the search; not exact.
        queries: a batch of one.
        allowed: documents that may be returned.
        doc: the document.
        n_docs: how many documents the segment has.
    """
    from splade_engine.index.kernels import plan, walk

    budget = int(min(limits.postings * n_docs / max(allowed.total, 1), 4e18))
    with np.errstate(over="ignore"):  # words wrap round in Python as they do when compiled
        count = plan.load_query(queries, 0, lists, scratch)
        scale = plan.scale_bounds(scratch.terms, count)
        kept = walk.walk_heavy(lists, count, budget, limits.candidates, scale, allowed, scratch)
        if doc in scratch.found.docs[:kept]:
            return None
        deepest = plan.impact_threshold(lists, scratch.terms, count, budget, scratch.histogram)
    least = int(scratch.found.bounds[:kept].min()) if kept else 1
    n_walked = int((np.ceil(deepest / scratch.terms.priorities[:count]) <= 255.0).sum())
    walked = [_walked(lists, scratch, i, doc) for i in range(n_walked)]
    return Miss("outscored" if any(walked) else "unread", sum(walked) / scale, least / scale, ())


def _walked(lists: Lists, scratch: Scratch, i: int, doc: int) -> int:
    """What the i-th list that is walked adds to the document's bound; 0 where its entry is too light."""
    window, local = divmod(doc, lists.window)
    active = scratch.active
    at = int(active.numbers[i]) * lists.windows + window
    part = slice(int(lists.offsets[at]), int(lists.offsets[at + 1]))
    (places,) = np.nonzero(lists.docs[part] == local)
    code = int(lists.codes[part][places[0]]) if len(places) else 0
    if code < active.lowest[i]:
        return 0
    return (int(active.multipliers[i]) * code + 255) >> 8
