"""`Effort`: how much work a search may do, as one value.

    Exact()                     the true top k over the stored weights
    Recall(0.95)                a share of the true top k, by the settings that `tune` measured; the default
    Budget(20_000, 100)         so many list entries walked and so many documents scored, per query

`SparseIndex.search` and `SearchEngine.search` also take the shorthands `exact=True`, `accuracy=0.95` and
`config=SearchConfig(...)`; `effort_of` turns them into the one value that everything else works with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypedDict

from splade_engine.arguments import shown
from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.config import MOST_CANDIDATES, SearchConfig
from splade_engine.index.lists import MOST_POSTINGS, check_integer

if TYPE_CHECKING:
    from splade_engine.index.filter.parse import Where


@dataclass(frozen=True, slots=True)
class Exact:
    """The true top k over the stored weights."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A share of the true top k, by settings that were measured (`SparseIndex.tune`) or the defaults.

    An index so small that approximation saves no time is searched exactly.
    """

    # above 0, at most 1; at the k that is asked for. 1 is exact
    share: float = 0.95

    def __post_init__(self) -> None:
        number = isinstance(self.share, Real) and not isinstance(self.share, bool)
        if not number or not 0.0 < self.share <= 1.0:
            raise InvalidInputError(
                f"search: accuracy must be above 0 and at most 1, got {shown(self.share)}"
            )
        object.__setattr__(self, "share", float(self.share))


@dataclass(frozen=True, slots=True)
class Budget:
    """How many list entries are walked and how many documents scored, per query and segment."""

    # About how many list entries are walked: those with the largest impact (query weight x document weight;
    # impact ordering: Anh and Moffat, SIGIR 2006), divided by the fourth root of the length of the list. A
    # query whose lists hold little more is answered exactly, which is then as fast.
    max_postings: int = SearchConfig.max_postings
    # How many documents, those with the largest sums over the entries walked, are scored in full; at least k.
    n_candidates: int = SearchConfig.n_candidates

    def __post_init__(self) -> None:
        check_integer("Budget", "max_postings", self.max_postings, 1, MOST_POSTINGS)
        check_integer("Budget", "n_candidates", self.n_candidates, 1, MOST_CANDIDATES)


Effort = Exact | Recall | Budget
Work = Exact | Budget  # what is left of an effort once the index has said what reaches a recall
# made once: a search takes some 40 us, and checking a value that was checked before is 1 us of that
DEFAULT = Recall()
EXACT = Exact()
DEFAULT_BUDGET = Budget()


class EffortOptions(TypedDict, total=False):
    """The shorthands for an `Effort`; at most one of them may be given."""

    exact: bool
    accuracy: float | None
    config: SearchConfig | None


class ExplainOptions(EffortOptions, total=False):
    """The options of `explain`; `IndexReader.search` says what they mean."""

    effort: Effort | None
    where: Where | None


class IndexSearchOptions(ExplainOptions, total=False):
    """The options of a search; `IndexReader.search` says what they mean."""

    threads: int


def effort_of(
    effort: Effort | None = None,
    *,
    exact: bool = False,
    accuracy: float | None = None,
    config: SearchConfig | None = None,
) -> Effort:
    """The effort that the options of a search stand for; `Recall()` where none is given.

    Raises:
        InvalidInputError: for more than one of them, or a value that is out of range.
    """
    if effort is None and accuracy is None and config is None and exact is False:
        return DEFAULT
    if not isinstance(exact, bool):
        raise InvalidInputError(f"search: exact must be True or False, got {shown(exact)}")
    if exact + sum(value is not None for value in (effort, accuracy, config)) > 1:
        raise InvalidInputError("search: give one of accuracy, exact and config, or an effort")
    if effort is not None:
        if not isinstance(effort, (Exact, Recall, Budget)):
            raise InvalidInputError(f"search: effort must be Exact, Recall or Budget, got {shown(effort)}")
        return effort
    if accuracy is not None:
        return Recall(accuracy)
    return EXACT if config is None else work_of(config)


def work_of(config: SearchConfig) -> Work:
    """The effort that a `SearchConfig` asks for.

    Raises:
        InvalidInputError: if it is none.
    """
    if not isinstance(config, SearchConfig):
        raise InvalidInputError(f"search: config must be a SearchConfig, got {shown(config)}")
    return Exact() if config.exact else Budget(config.max_postings, config.n_candidates)


def stored_work(settings: Mapping[str, Any]) -> Work:
    """The effort that a tuning record stores. Its ranges bound what a search may allocate.

    Raises:
        IndexCorruptError: if what is stored is no SearchConfig.
    """
    try:
        return work_of(SearchConfig(**settings))
    except (TypeError, InvalidInputError) as error:
        raise IndexCorruptError(f"stored search settings: {error}") from None


def settings_of(work: Work) -> dict[str, Any]:
    """What a tuning record stores of an effort: the fields of a `SearchConfig`."""
    return asdict(SearchConfig(exact=True) if isinstance(work, Exact) else SearchConfig(**asdict(work)))
