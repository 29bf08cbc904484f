"""What `AutoLists` stands for: lists over blocks where they were measured to be the faster ones.

On 200,000 vectors of a SPLADE model they take .67 to .85 of the time that lists in order of impact take, for
queries of 7 and 18 terms at recalls from .95 on, and 1.7 to 2.3 times as much for queries of 45 terms. At
50,000 documents they win with 7 terms, in exact search too, and lose it with 18. At 636,938 they take .65 to
.83 with 18 terms, at recalls from .95 on, and 1.01 to 1.31 times as much with 7. For 100 hits and 18 terms
they take 1.02 to 1.16 times the time at 200,000, and .77 to .99 at 636,938. The recall asked for changes
the order only where both are within a tenth (docs/performance.md).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists, Lists, lists_of


class Measured(NamedTuple):
    """Where lists over blocks won."""

    # documents of an index: from so many on, and fewer than these
    least: int
    below: float
    # terms of a query: more than these, and up to so many
    above: float
    most: float

    def holds(self, n_docs: int, terms: float) -> bool:
        """Whether an index of as many documents, asked queries of as many terms, is of this kind."""
        return self.least <= n_docs < self.below and self.above < terms <= self.most


TABLE = (Measured(50_000, 400_000, 0, 10), Measured(100_000, math.inf, 10, 20))
MOST_HITS = 50  # from about as many hits on, lists in order of impact: between the 10 and the 100 of above


def chosen_lists(lists: str | AutoLists | Lists, n_docs: int) -> Lists:
    """The lists of an index of `n_docs` documents: these, or what `AutoLists` means for as many."""
    given = lists_of(lists)
    if not isinstance(given, AutoLists):
        return given
    terms = given.query_terms
    if given.k > MOST_HITS:
        return ImpactLists()
    fits = terms is not None and any(row.holds(n_docs, terms) for row in TABLE)
    return BlockLists() if fits else ImpactLists()
