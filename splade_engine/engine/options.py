"""`SearchOptions`: what may be asked of a search besides its query, its filter and its effort.

The same names everywhere: keyword arguments of `SearchEngine.search`, options of `splade-engine search`,
fields of the server's requests, arguments of the agents' tool.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, Literal

from splade_engine.arguments import check_many, double, shown
from splade_engine.engine.feedback import Feedback
from splade_engine.engine.fusion import Hybrid, hybrid_of
from splade_engine.engine.related import WEAK
from splade_engine.engine.rerank import Rerank, Scorer, rerank_of
from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import EffortOptions

PARENT = "parent"  # the column that names the document of a passage, see docs/sources.md
MOST_OFFSET = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Which of the matching documents are returned, in which order, and what is counted beside them."""

    # Hits to leave out at the beginning. Where it is given, 0 included, the search is exact, so that pages
    # fit together: those with offset 0, 10, ... 40 and k = 10 are the first 50.
    offset: int | None = None
    # the lowest score of a hit: the final one, after fusion and reranking
    min_score: float | None = None
    # A metadata field: of the documents with the same value only the best is returned, and k counts values. A
    # document without a value stands for itself. "parent" gathers the passages of a document.
    group_by: str | None = None
    # words or phrases ("money back") that a hit's title or text holds, all of them; "refund*" begins a word
    must: tuple[str, ...] = ()
    # words or phrases that it does not hold
    must_not: tuple[str, ...] = ()
    # A metadata field by which all matches are ordered, the largest first if it begins with a minus;
    # documents without a value come last.
    sort: str | None = None
    # whether all matches are counted (`Hits.total`), with `group_by` the groups
    total: bool = False
    # metadata fields whose values are counted (`Hits.facets`)
    facets: tuple[str, ...] = ()
    # over which documents: the hits that are returned, or all that match
    facets_over: Literal["hits", "matches"] = "hits"
    # Whether words as they are written count besides the encoder's terms (`fusion.py`): True or "sum", "rrf",
    # or a `Hybrid`. None: of words such as ERR_INVALID_ARG_TYPE alone; False: of none.
    hybrid: Hybrid | bool | Literal["sum", "rrf"] | None = None
    # What scores the best hits anew: a function of query and texts, the name of a CrossEncoder, a `Rerank`.
    rerank: Rerank | Scorer | str | None = None
    # Whether a query that shares no term with any document is answered by related terms (`related.py`);
    # "weak": also one whose best hit would be called weak.
    related: bool | Literal["weak"] = True
    # whether +must, -not and "quoted phrases" are read in the query (`query_text.py`)
    operators: bool = True
    # Pseudo-relevance feedback: the query takes terms of its best hits, of so many or as a `Feedback` says,
    # and is searched again. Twice the work; scores are those of the second search.
    feedback: int | Feedback | None = None

    def __post_init__(self) -> None:
        offset = self.offset
        if offset is not None and (
            isinstance(offset, bool) or not isinstance(offset, Integral) or not 0 <= offset <= MOST_OFFSET
        ):
            raise InvalidInputError(f"offset must be an integer of at least 0, got {shown(offset)}")
        score = self.min_score
        number = isinstance(score, Real) and not isinstance(score, bool)
        if score is not None and not (number and math.isfinite(double(score))):
            raise InvalidInputError(f"min_score must be a finite number, got {shown(score)}")
        for name in ("group_by", "sort"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.removeprefix("-")):
                raise InvalidInputError(f"{name} must be the name of a metadata field, got {shown(value)}")
        for name in ("must", "must_not", "facets"):
            value = getattr(self, name)
            check_many(name, value)
            object.__setattr__(self, name, tuple(value))
        for field in self.facets:
            if not isinstance(field, str) or not field:
                raise InvalidInputError(
                    f"facets: the name of a metadata field is expected, got {shown(field)}"
                )
        if self.facets_over not in ("hits", "matches"):
            raise InvalidInputError(f"facets_over must be hits or matches, got {shown(self.facets_over)}")
        if not isinstance(self.related, bool) and self.related != WEAK:
            raise InvalidInputError(f'related must be True, False or "weak", got {shown(self.related)}')
        for name in ("total", "operators"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInputError(f"{name} must be True or False, got {shown(getattr(self, name))}")
        self._check_rankings()

    def _check_rankings(self) -> None:
        if self.feedback is not None and not isinstance(self.feedback, Feedback):
            object.__setattr__(self, "feedback", Feedback(docs=self.feedback))
        if self.hybrid is not None:
            hybrid_of(self.hybrid)
        object.__setattr__(self, "rerank", rerank_of(self.rerank))

    @property
    def all_matches(self) -> bool:
        """Whether every matching document has to be found."""
        return self.total or self.sort is not None or (bool(self.facets) and self.facets_over == "matches")

    @property
    def is_plain(self) -> bool:
        """Whether the best k hits are all that is asked for."""
        return self is PLAIN or _asked_of_hits(self) == _PLAIN_VALUES


PLAIN = SearchOptions()
_NAMES = frozenset(field.name for field in dataclasses.fields(SearchOptions))
# all but how the text of a query is read, which is none of the ranking's business
_asked_of_hits = attrgetter(*sorted(_NAMES - {"operators", "hybrid", "related"}))
_PLAIN_VALUES = _asked_of_hits(PLAIN)


class SearchKeywords(EffortOptions, total=False):
    """The keyword arguments of a search: the fields of `SearchOptions`, and the shorthands for an effort."""

    offset: int | None
    min_score: float | None
    group_by: str | None
    must: tuple[str, ...] | list[str]
    must_not: tuple[str, ...] | list[str]
    sort: str | None
    total: bool
    facets: tuple[str, ...] | list[str]
    facets_over: Literal["hits", "matches"]
    hybrid: Hybrid | bool | Literal["sum", "rrf"] | None
    rerank: Rerank | Scorer | str | None
    related: bool | Literal["weak"]
    operators: bool
    feedback: int | Feedback | None


_OPTIONS = _NAMES | set(EffortOptions.__annotations__)


def split_keywords(given: Mapping[str, Any]) -> tuple[SearchOptions, EffortOptions]:
    """The options of a search, and what is left: the shorthands for an effort.

    Raises:
        InvalidInputError: for a value that cannot be accepted.
        TypeError: for a name that is none, as Python raises it.
    """
    if not given:
        return PLAIN, {}
    ours = {name: value for name, value in given.items() if name in _NAMES}
    rest: Any = {name: value for name, value in given.items() if name not in _NAMES}
    for name in rest:
        if name not in EffortOptions.__annotations__:
            raise TypeError(f"a search has no option {name!r}; there are {', '.join(sorted(_OPTIONS))}")
    return (SearchOptions(**ours) if ours else PLAIN), rest
