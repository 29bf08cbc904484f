"""What a search and a look at an index return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

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

    def __len__(self) -> int:
        return len(self.ordinals)


@dataclass(frozen=True)
class TunedSetting:
    """Measured search settings: at this k, `recall` of the exact hits were found in `microseconds` a
    query.
    """

    k: int
    target: float
    recall: float
    microseconds: float
    n_queries: int
    settings: Mapping[str, object]


@dataclass(frozen=True)
class IndexInfo:
    """What an index holds.

    Attributes:
        n_docs: live documents; n_deleted: deleted ones that a compaction would drop.
        bytes: size of all files on disk, by kind ("postings", "ids", "payload", "deleted", "manifest").
        columns: name and type of the payload columns.
        tuned: the settings that `tune` stored; empty where defaults are used.
        fingerprint: xxh3-128 of the manifest, which holds the checksums of everything else: pin it to know
            that an index is the one you built.
    """

    path: Path
    format_version: int
    generation: int
    n_docs: int
    n_deleted: int
    n_segments: int
    n_terms: int
    nnz: int
    bytes: Mapping[str, int]
    columns: Mapping[str, str]
    encoder: Mapping[str, str | int] | None
    config: Mapping[str, object]
    tuned: tuple[TunedSetting, ...]
    fingerprint: str

    @property
    def total_bytes(self) -> int:
        """Size of the whole index on disk."""
        return sum(self.bytes.values())

    @property
    def terms_per_doc(self) -> float:
        """Mean number of stored terms of a document, deleted ones included."""
        return self.nnz / max(1, self.n_docs + self.n_deleted)
