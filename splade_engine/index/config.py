"""How an index is built, and how much a search may cost: frozen, validated, every default with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splade_engine.arguments import shown
from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.lists import (
    MOST_POSTINGS,
    AutoLists,
    BlockLists,
    ImpactLists,
    check_integer,
    lists_of,
    of_record,
    to_record,
)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInputError(f"BuildConfig.{name} must be one of {', '.join(choices)}, got {shown(value)}")


def _check_bool(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidInputError(f"{owner}.{name} must be True or False, got {shown(value)}")


@dataclass(frozen=True)
class BuildConfig:
    """What is stored of a segment.

    docs/performance.md has what each choice costs in recall, bytes and time.
    """

    # How document weights are stored, and so what "exact" is exact over. "float16" keeps each weight within
    # a relative 2^-11 (Seismic's default as well); "float32" keeps it as given; "uint8" takes the nearest of
    # 255 multiples of one scale per document, a 255th of its largest weight, and needs a byte less per
    # entry; "auto" takes float16 unless a weight lies outside its range. A name of `segment/weights/`.
    weights: str = "auto"
    # How the term numbers of documents are stored. "plain" takes 16 bits each, or 32 where there are more
    # than 65,536; "split" keeps the lower half of the bits apart from the upper one, which is a run of bits
    # per document (Elias 1974, Fano 1971): smaller, and slower to read; "auto" is "plain". A name of
    # `segment/terms/`.
    terms: str = "auto"
    # How posting lists are stored: `ImpactLists()` or `BlockLists(...)` (`lists.py`), or the name of one,
    # "impact", "blocks" or "blocks(energy=0.9)"; `AutoLists(...)` or "auto" is one of the two
    # (`auto_lists.py`).
    lists: str | ImpactLists | BlockLists | AutoLists = "impact"
    # Whether the words of the payload's title and text are listed as well, for BM25 (`hybrid`) and for what a
    # text must hold. `SearchEngine` does so; vectors alone have no words.
    words: bool = False

    def __post_init__(self) -> None:
        from splade_engine.index.segment.terms import TERM_KINDS
        from splade_engine.index.segment.weights import WEIGHT_KINDS

        for field, kinds in (("weights", WEIGHT_KINDS), ("terms", TERM_KINDS)):
            names = ("auto", *dict.fromkeys(kind.name for kind in kinds))
            _check_choice(field, getattr(self, field), names)
        _check_bool("BuildConfig", "words", self.words)
        object.__setattr__(self, "lists", lists_of(self.lists))

    def to_record(self) -> dict[str, Any]:
        """What a manifest stores; without what an index of format 1 has always had."""
        record: dict[str, Any] = {"weights": self.weights, "terms": self.terms}
        if self.lists != ImpactLists():
            record["lists"] = to_record(lists_of(self.lists))
        return record | ({"words": True} if self.words else {})


def stored_build_config(settings: Mapping[str, Any]) -> BuildConfig:
    """The build settings that a manifest stores.

    Raises:
        IndexCorruptError: if what is stored is no BuildConfig.
    """
    try:
        given = dict(settings)
        if "lists" in given:
            given["lists"] = of_record(given["lists"])
        return BuildConfig(**given)
    except (TypeError, InvalidInputError) as error:
        raise IndexCorruptError(f"stored build settings: {error}") from None


MOST_CANDIDATES = 1 << 30


@dataclass(frozen=True)
class SearchConfig:
    """How much work a query may cost, as `tune` stores it.

    In a search it is the same as `Exact()` or `Budget(max_postings, n_candidates)` of
    `splade_engine.index.effort`, which tell what the fields mean.
    """

    # the other fields are then without effect
    exact: bool = False
    max_postings: int = 30_000
    n_candidates: int = 150

    def __post_init__(self) -> None:
        _check_bool("SearchConfig", "exact", self.exact)
        check_integer("SearchConfig", "max_postings", self.max_postings, 1, MOST_POSTINGS)
        check_integer("SearchConfig", "n_candidates", self.n_candidates, 1, MOST_CANDIDATES)
