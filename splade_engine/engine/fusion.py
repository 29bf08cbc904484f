"""Hybrid search: the ranking by learned terms and the ranking by words as they are written, fused.

    sum    score by terms + weight * score by words
    rrf    1 / (constant + rank by terms) + weight / (constant + rank by words)

The sum takes the scores as they are: both are sums over terms, weighed by idf, so that they are of one order
of size, and a word counts the same whatever else the query holds. Every candidate has both of its scores,
whichever side found it. Reciprocal rank fusion is that of Cormack, Clarke and Buettcher (SIGIR 2009).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import real, shown, whole
from splade_engine.errors import InvalidInputError
from splade_engine.index.words.text import words_of
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.engine.listing import Ranking
    from splade_engine.index import IndexReader
    from splade_engine.index.filter.nodes import Where

METHODS = ("sum", "rrf")
RRF_WEIGHT = 0.25  # of words in `hybrid="rrf"`
MOST_DEPTH = 1_000_000
# Words that no one says otherwise: with an underscore or a digit in them, or capitals behind small letters.
_AS_WRITTEN = re.compile(r"[^\W_]_\w|[^\W\d_]\d|\d[^\W\d_]|[a-z][A-Z]")
_RUN = re.compile(r"\w+")
_ANY = re.compile(r"[_\dA-Z]")  # what such a word holds, behind its first character


@dataclass(frozen=True, slots=True)
class Hybrid:
    """How the ranking by terms and the ranking by words become one."""

    method: Literal["sum", "rrf"] = "sum"
    # of the words' side; that of the terms is 1
    weight: float = 1.0
    # of reciprocal rank fusion
    constant: float = 60.0
    # Hits of each side that take part. It does not depend on the page, so that pages fit together: the list
    # ends where both sides end.
    depth: int = 1000

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidInputError(f"hybrid: method must be one of sum, rrf, got {shown(self.method)}")
        real("hybrid: weight", self.weight, 0, 1e6)
        real("hybrid: constant", self.constant, 0, 1e6)
        whole("hybrid: depth", self.depth, 1, MOST_DEPTH)


@dataclass(frozen=True, slots=True)
class Side:
    """Where one side of a fusion had a hit, and what it added."""

    # terms, words or rerank
    name: str
    # from 1; 0 where this side did not find the document
    rank: int
    # its own score
    score: float
    # its part of the final score
    contribution: float


class Sided(Protocol):
    """A ranking that knows what its scores are made of."""

    def sides(self, ordinal: int) -> tuple[Side, ...]:
        """What each side says of a document."""


def hybrid_of(value: object) -> Hybrid | None:
    """The fusion that the option `hybrid` stands for; None for a search by terms.

    Raises:
        InvalidInputError: for anything but True, False, "sum", "rrf" and a `Hybrid`.
    """
    if value is True:
        return Hybrid()
    if isinstance(value, Hybrid):
        return value
    if value is False:
        return None
    if isinstance(value, str) and value in METHODS:
        return Hybrid("rrf", RRF_WEIGHT) if value == "rrf" else Hybrid()
    raise InvalidInputError(f"hybrid must be True, False, 'sum', 'rrf' or a Hybrid, got {shown(value)}")


def weighted(hybrid: Hybrid | None, weight: float | None) -> Hybrid:
    """A fusion with another weight of the words, where one is given."""
    hybrid = hybrid or Hybrid()
    return hybrid if weight is None else replace(hybrid, weight=weight)


def as_written(text: str) -> list[str]:
    """The words of a query that only stand in texts as they are written, such as `ERR_INVALID_ARG_TYPE`."""
    # mostly there is none, which is told in 1 us, or 3 where a word begins with a capital; a search takes 40
    if not _ANY.search(text, 1) or not _AS_WRITTEN.search(text):
        return []
    return [word for run in _RUN.findall(text) if _AS_WRITTEN.search(run) for word in words_of(run)]


@dataclass(frozen=True)
class HybridRanking:
    """The documents by a fusion of two rankings."""

    reader: IndexReader
    terms: Ranking
    vector: SparseVectors
    words: Sequence[str]
    where: Where | None
    hybrid: Hybrid
    # whether every match takes part, however deep
    whole: bool = False

    @property
    def size(self) -> int:
        """A depth at which the list surely ends."""
        return min(2 * self._depth, self.terms.size)

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores of the best `depth`."""
        ordinals, scores, _, _ = self._fused
        return ordinals[:depth], scores[:depth]

    def sides(self, ordinal: int) -> tuple[Side, ...]:
        """What the terms and the words say of a document."""
        _, _, found, columns = self._fused
        i = int(np.searchsorted(found, ordinal))
        return tuple(
            Side(name, int(column[0, i]), float(column[1, i]), float(column[2, i]))
            for name, column in zip(("terms", "words"), columns, strict=True)
        )

    @property
    def _depth(self) -> int:
        return self.terms.size if self.whole else min(self.hybrid.depth, self.terms.size)

    @cached_property
    def _fused(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], list[NDArray[np.float64]]]:
        """Ordinals and scores, best first; what takes part by ordinal; rank, score and part of each side."""
        by_terms = self.terms.top(self._depth)
        by_words = self.reader.search_words(self.words, self._depth, where=self.where)
        found = np.union1d(by_terms[0], by_words[0])
        ranks = [_ranks(found, ordinals) for ordinals, _ in (by_terms, by_words)]
        if self.hybrid.method == "rrf":
            scores = [_spread(found, *side) for side in (by_terms, by_words)]
            reciprocal = [
                np.where(r > 0, 1.0 / (self.hybrid.constant + np.maximum(r, 1)), 0.0) for r in ranks
            ]
        else:
            scores = [
                np.where(ranks[0] > 0, _spread(found, *by_terms), self._dot(found, ranks[0] == 0)),
                self.reader.score_words(self.words, found),
            ]
            reciprocal = scores
        parts = [reciprocal[0], self.hybrid.weight * reciprocal[1]]
        total = (parts[0] + parts[1]).astype(np.float32)
        order = np.argsort(-total, kind="stable")
        order = order[total[order] > 0]
        columns = [np.stack((r, s, p)) for r, s, p in zip(ranks, scores, parts, strict=True)]
        return found[order], total[order], found, columns

    def _dot(self, ordinals: NDArray[np.int64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The score by terms of those documents that are wanted, 0 for the others."""
        scores = np.zeros(len(ordinals))
        scores[wanted] = self.reader.score_terms(self.vector, ordinals[wanted])
        return scores


def _ranks(found: NDArray[np.int64], ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank in one list of each document found, 0 where it is not in it."""
    ranks = np.zeros(len(found), np.int64)
    ranks[np.searchsorted(found, ordinals)] = np.arange(1, len(ordinals) + 1)
    return ranks


def _spread(
    found: NDArray[np.int64], ordinals: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.float64]:
    spread = np.zeros(len(found))
    spread[np.searchsorted(found, ordinals)] = scores
    return spread
