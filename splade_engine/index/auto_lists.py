"""What `AutoLists` stands for: lists over blocks where they were measured to be the faster ones.

On 200,000 vectors of a SPLADE model they take .67 to .85 of the time that lists in order of impact take, for
queries of 7 and 18 terms at recalls from .95 on, and 1.7 to 2.3 times as much for queries of 45 terms. At
50,000 documents they win with 7 terms, in exact search too, and lose it with 18. For 100 hits and 18 terms
they take 1.02 to 1.16 times the time. The recall asked for changes the order only where both are within a
tenth (docs/performance.md).
"""

from __future__ import annotations

from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists, Lists, lists_of

# (from so many documents on, up to so many terms a query): lists over blocks
TABLE: tuple[tuple[int, float], ...] = ((50_000, 10.0), (100_000, 20.0))
MOST_HITS = 50  # from about as many hits on, lists in order of impact: between the 10 and the 100 of above


def chosen_lists(lists: str | AutoLists | Lists, n_docs: int) -> Lists:
    """The lists of an index of `n_docs` documents: these, or what `AutoLists` means for as many."""
    given = lists_of(lists)
    if not isinstance(given, AutoLists):
        return given
    terms = given.query_terms
    if given.k > MOST_HITS:
        return ImpactLists()
    fits = terms is not None and any(n_docs >= least and terms <= most for least, most in TABLE)
    return BlockLists() if fits else ImpactLists()
