"""What `AutoLists` stands for: lists over blocks where they were measured to be the faster ones.

On 200,000 vectors of a SPLADE model they take .67 to .85 of the time that lists in order of impact take, for
queries of 7 and 18 terms at recalls from .95 on, and 1.7 to 2.1 times as much for queries of 45 terms. At
50,000 documents they win with 7 terms, in exact search too, and lose it with 18 (docs/performance.md).
"""

from __future__ import annotations

from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists, Lists, lists_of

# (from so many documents on, up to so many terms a query): lists over blocks
TABLE: tuple[tuple[int, float], ...] = ((50_000, 10.0), (100_000, 20.0))


def chosen_lists(lists: str | AutoLists | Lists, n_docs: int) -> Lists:
    """The lists of an index of `n_docs` documents: these, or what `AutoLists` means for as many."""
    given = lists_of(lists)
    if not isinstance(given, AutoLists):
        return given
    terms = given.query_terms
    fits = terms is not None and any(n_docs >= least and terms <= most for least, most in TABLE)
    return BlockLists() if fits else ImpactLists()
