"""What `BuildConfig(lists="auto")` stands for: the lists that were the faster ones for as many documents.

docs/performance.md has the measurements: it depends on the accuracy and the length of queries too, but where
the two differ by more than a tenth, the number of documents decides.
"""

from __future__ import annotations

from splade_engine.index.lists import BlockLists, ImpactLists, Lists, lists_of

# (from so many documents on, lists), ascending
TABLE: tuple[tuple[int, Lists], ...] = ((0, ImpactLists()), (100_000, BlockLists()))


def chosen_lists(lists: str | ImpactLists | BlockLists, n_docs: int) -> Lists:
    """The lists of an index of `n_docs` documents: these, or where they are "auto" those of the table."""
    given = lists_of(lists)
    if not isinstance(given, str):
        return given
    return [found for least, found in TABLE if least <= n_docs][-1]
