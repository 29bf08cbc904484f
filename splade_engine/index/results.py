"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SearchResult:
    """The best documents of each query, best first; equal scores are in the order of ordinals.

    Attributes:
        ordinals: int64[n_queries, k], -1 where a query has fewer hits.
        scores: float32[n_queries, k], -inf where a query has fewer hits.
        docs_scored: int64[n_queries], documents whose full score was computed.
        exact: whether the hits are the true top k over the stored weights.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    docs_scored: NDArray[np.int64]
    exact: bool
    names: Callable[[NDArray[np.int64]], list[str]] = field(repr=False, compare=False)

    @cached_property
    def ids(self) -> list[list[str]]:
        """The ids of the hits of each query (only of hits: a row may be shorter than k)."""
        found = self.ordinals >= 0
        flat = self.names(self.ordinals[found])
        ends = np.cumsum(found.sum(axis=1)).tolist()
        return [flat[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def __getstate__(self) -> dict[str, object]:
        """A result that goes to another process takes its ids along, not the index."""
        return {**self.__dict__, "ids": self.ids, "names": None}

    def __len__(self) -> int:
        return len(self.ordinals)
