"""How the posting lists of a segment can be stored: one module and one row of `LIST_KINDS` for each kind.

A kind brings its arrays, the rules that make its kernels safe on them, building and searching; its parameters
are a value of `index/lists.py` of the same name. Everything else asks the row: the file (`segment.py`), the
checks (`layout.py`), `build.py`, `search.py`. What is stored is told by the arrays: the first one of a kind
is never empty where the kind is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.index.lists import AutoLists, BlockLists, ImpactLists
from splade_engine.index.segment import block_arrays, blocks, windows
from splade_engine.index.segment.arrays import Arrays, ArraySpec, Empty

if TYPE_CHECKING:
    from splade_engine.index.kernels.groups import Allowed, Hits, Limits, Queries
    from splade_engine.index.segment.miss import Miss
    from splade_engine.index.segment.rows import Rows


class ListSearch(Protocol):
    """The lists of an opened segment."""

    def scratch(self, query_terms: int, n_candidates: int) -> Any:
        """What a thread works in, for queries of up to so many terms; clean before and after every query."""

    def search(
        self,
        first: int,
        last: int,
        limits: Limits,
        queries: Queries,
        rows: Rows,
        allowed: Allowed,
        scratch: Any,
        hits: Hits,
    ) -> None:
        """Answer the queries `first` to `last` - 1 of a batch, into `hits`."""

    def miss(
        self, queries: Queries, limits: Limits, allowed: Allowed, doc: int, held: frozenset[int]
    ) -> Miss | None:
        """Why an approximate search for a batch of one did not score a document; None where it did.

        `held` are the numbers of the terms that the document holds.
        """


@dataclass(frozen=True)
class ListKind:
    """One way to store posting lists."""

    # as in `BuildConfig.lists`
    name: str
    # in the order of the file; the first one is never empty where the kind is used
    arrays: tuple[ArraySpec, ...]
    # (arrays, n_docs, nnz): raises IndexCorruptError where a kernel would not be safe
    check: Callable[[Arrays, int, int], None]
    # (rows, n_lists, lists, threads, empty): the arrays of the lists of these rows
    build: Callable[[Rows, int, Any, int, Empty], dict[str, NDArray[Any]]]
    # (nnz, n_docs): bytes of memory that building takes beside what `stream.segment_cost` counts
    build_cost: Callable[[int, int], int]
    # (arrays, n_docs): int64[n_lists], how many documents hold each term
    frequencies: Callable[[Arrays, int], NDArray[np.int64]]
    # (arrays, n_docs, n_terms): the lists, ready to be searched
    opened: Callable[[Arrays, int, int], ListSearch]


IMPACT = ListKind(
    name="impact",
    arrays=windows.ARRAYS,
    check=windows.check,
    build=windows.build,
    build_cost=lambda nnz, n_docs: 0,
    frequencies=windows.frequencies,
    opened=windows.WindowSearch,
)
BLOCKS = ListKind(
    name="blocks",
    arrays=block_arrays.ARRAYS,
    check=block_arrays.check,
    build=blocks.build,
    build_cost=blocks.build_cost,
    frequencies=blocks.frequencies,
    opened=blocks.BlockSearch,
)
LIST_KINDS = (IMPACT, BLOCKS)


def stored_lists(arrays: Arrays) -> ListKind:
    """How the lists of these arrays are stored."""
    return next((kind for kind in LIST_KINDS if len(arrays[kind.arrays[0].name])), IMPACT)


def listed_lists(sections: Collection[str]) -> ListKind:
    """The kind whose arrays a file names."""
    return next((kind for kind in LIST_KINDS if kind.arrays[0].name in sections), IMPACT)


def lists_for(lists: str | ImpactLists | BlockLists | AutoLists) -> ListKind:
    """The kind of these lists."""
    name = lists if isinstance(lists, str) else lists.kind
    return next(kind for kind in LIST_KINDS if kind.name == name)
