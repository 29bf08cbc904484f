"""From the ranking of one query to the hits that were asked for: grouped, sorted, counted, cut to a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.engine.options import PARENT, SearchOptions
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.index import IndexReader

DEEPER = 4  # times as many hits are looked at where those before held too few groups


class Ranking(Protocol):
    """The documents that match a query, best first, as deep as one looks."""

    @property
    def size(self) -> int:
        """A depth at which it surely ends."""

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores of the best `depth`; fewer where it ends before."""


@dataclass(frozen=True)
class Page:
    """The hits of one page."""

    # places in the whole list, from 0, ordinals and scores of the hits
    first: int
    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]
    # how many matches there are, or groups of them; None unless that was asked
    total: int | None = None
    # field -> (value, count), the most frequent first
    facets: dict[str, list[tuple[Any, int]]] = field(default_factory=dict)


def page_of(reader: IndexReader, ranking: Ranking, k: int, options: SearchOptions) -> Page:
    """The page of a ranking that the options ask for.

    Raises:
        InvalidInputError: for a field that no document has, or that cannot be sorted by.
    """
    offset = options.offset or 0
    wanted = offset + k
    for name, column in (("group_by", options.group_by), *(("facets", name) for name in options.facets)):
        if column is not None:
            _check_column(reader, name, column)
    matches = _Cut(ranking, options.min_score)
    if options.all_matches:
        ordinals, scores = matches.top(ranking.size)
    elif options.group_by is not None:
        ordinals, scores = _deep_enough(reader, matches, wanted, options.group_by)
    else:
        ordinals, scores = matches.top(wanted)
    facets = _facets(reader, ordinals, options.facets) if options.facets_over == "matches" else {}
    if options.sort is not None:
        order = _sorted(reader, ordinals, options.sort)
        ordinals, scores = ordinals[order], scores[order]
    if options.group_by is not None:
        best = _firsts(reader, ordinals, options.group_by)
        ordinals, scores = ordinals[best], scores[best]
    total = len(ordinals) if options.total else None
    ordinals, scores = ordinals[offset:wanted], scores[offset:wanted]
    if options.facets_over == "hits":
        facets = _facets(reader, ordinals, options.facets)
    return Page(offset, ordinals, scores, total, facets)


@dataclass(frozen=True)
class _Cut:
    """A ranking without the hits below a score."""

    ranking: Ranking
    min_score: float | None

    @property
    def size(self) -> int:
        return self.ranking.size

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ordinals, scores = self.ranking.top(min(depth, self.size))
        if self.min_score is not None:
            with np.errstate(over="ignore"):  # one beyond float32 is above every score
                enough = int((scores >= np.float32(self.min_score)).sum())  # the scores fall
            ordinals, scores = ordinals[:enough], scores[:enough]
        return ordinals, scores


# ---- groups ---------------------------------------------------------------------------------------------


def _deep_enough(
    reader: IndexReader, ranking: Ranking, wanted: int, column: str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The beginning of a ranking that holds so many groups, or all of it: no fixed multiple is enough."""
    depth = wanted
    while True:
        depth = min(DEEPER * depth, ranking.size)
        ordinals, scores = ranking.top(depth)
        if len(ordinals) < depth or depth == ranking.size:
            return ordinals, scores
        if len(_firsts(reader, ordinals, column)) >= wanted:
            return ordinals, scores


def _firsts(reader: IndexReader, ordinals: NDArray[np.int64], column: str) -> NDArray[np.int64]:
    """The places of the first document of each group, in order; one that has nothing there is alone."""
    seen: set[Any] = set()
    places = []
    for place, value in enumerate(_values(reader, column, ordinals)):
        if isinstance(value, list):
            value = tuple(item for item in value if item is not None)
        nothing = value is None or value == "" or value == ()
        if nothing or value not in seen:
            places.append(place)
            seen.add(value)
    return np.array(places, np.int64)


def _check_column(reader: IndexReader, option: str, column: str) -> None:
    if option == "group_by" and column == PARENT:
        return  # where no document was cut into passages, each stands for itself
    _told(option, lambda: reader.column(column, []))


def _values(reader: IndexReader, column: str, ordinals: NDArray[np.int64]) -> Sequence[Any]:
    if column == PARENT and PARENT not in reader.info().columns:
        return [None] * len(ordinals)
    values = reader.column(column, ordinals)
    # a document without a title, or text, is stored with an empty one
    return [value or None for value in values] if column in ("title", "text") else values


def _told(option: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InvalidInputError as error:
        raise InvalidInputError(f"{option}: {str(error).removeprefix('column: ')}") from None


# ---- order and counts -----------------------------------------------------------------------------------


def _sorted(reader: IndexReader, ordinals: NDArray[np.int64], sort: str) -> list[int]:
    """The places in the order of a field; equal values stay in the order of the scores."""
    column, falling = sort.removeprefix("-"), sort.startswith("-")
    values = _told("sort", lambda: _values(reader, column, ordinals))
    there = [i for i, value in enumerate(values) if value is not None]
    if any(isinstance(values[i], list) for i in there[:1]):
        raise InvalidInputError(f"sort: {column!r:.60} holds lists, which have no order")
    there.sort(key=lambda i: values[i], reverse=falling)  # stable in both directions
    return there + [i for i, value in enumerate(values) if value is None]


def _facets(
    reader: IndexReader, ordinals: NDArray[np.int64], fields: Sequence[str]
) -> dict[str, list[tuple[Any, int]]]:
    return {field: _counted(_values(reader, field, ordinals)) for field in fields}


def _counted(values: Sequence[Any]) -> list[tuple[Any, int]]:
    """How often each value occurs, of lists each item once; the most frequent first, equal ones in order."""
    counts: Counter[Any] = Counter()
    for value in values:
        counts.update(set(value) if isinstance(value, list) else () if value is None else (value,))
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
