"""Any Python function or SearchEngine as a system under evaluation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from splade_engine.arguments import double, first_twice, shown
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, parse_system
from splade_engine.eval.systems.bench import asked

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench

logger = logging.getLogger(__name__)
SearchFunction = Callable[[str, int], Iterable[tuple[str, float]]]


@dataclass(frozen=True)
class Function(System):
    """Any Python callable `(query text, k) -> [(document id, score), ...]`, best first."""

    kind: ClassVar[str] = "function"

    search: SearchFunction = field(default=lambda text, k: ())

    @property
    def spec(self) -> str:
        """The function's name; it cannot be read back."""
        return self.name or getattr(self.search, "__name__", type(self.search).__name__)

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Call it for every query."""
        rankings: dict[str, Ranking] = {}
        rising: list[str] = []
        seconds = np.empty(len(split.queries))
        for i, query_id, text in asked(bench, split):
            started = time.perf_counter()
            hits = self.search(text, k)
            hits = list(hits) if isinstance(hits, Iterable) and not isinstance(hits, Mapping) else hits
            seconds[i] = time.perf_counter() - started
            rankings[query_id] = _checked(self.title, query_id, hits, k)
            scores = [double(score) for _, score in hits[:k]]
            rising += [query_id] if any(b > a for a, b in pairwise(scores)) else []
        if rising:
            logger.warning(
                "%s: hits of %d of %d queries (the first is %s) do not stand in the order of their scores; "
                "they are measured as they stand, the first as the best",
                *(self.title, len(rising), len(rankings), shown(rising[0])),
            )
        run = Run(self.title, rankings)
        run.tell_unjudged(split.qrels, bench.dataset.name)
        return Answer(run, seconds, mode="as given")


def _checked(name: str, query_id: str, hits: Any, k: int) -> Ranking:
    # two letters or the key of a mapping would be taken apart into an id and a score
    odd = [hit for hit in hits if not _is_pair(hit)] if isinstance(hits, list) else [hits]
    if odd:
        advice = "; give list(hits.items()), best first" if isinstance(hits, Mapping) else ""
        raise InvalidInputError(
            f"system {name!r}, query {query_id!r}: pairs of a document id and a score are expected, "
            f"got {shown(odd[0])}{advice}"
        )
    ids = [str(doc_id) for doc_id, _ in hits]
    if len(set(ids)) != len(ids):
        twice = first_twice(ids)
        raise InvalidInputError(f"system {name!r}, query {query_id!r}: document {twice!r} is returned twice")
    with np.errstate(over="ignore"):
        values = [double(score) if isinstance(score, int) else score for _, score in hits]
        scores = np.array(values, dtype=np.float32)
    if not np.isfinite(scores).all():
        raise InvalidInputError(f"system {name!r}, query {query_id!r}: a score is not finite")
    return Ranking.in_order(ids, scores).top(k)


def _is_pair(hit: Any) -> bool:
    """An id, which is a text or a whole number, and a number."""
    if not isinstance(hit, tuple | list) or len(hit) != 2:
        return False
    doc_id, score = hit
    is_number = hasattr(score, "__float__") and not isinstance(score, bool)
    return isinstance(doc_id, str | Integral) and is_number


def as_system(system: Any, name: str = "") -> System:
    """A `System` from a specification, a SearchEngine or a callable.

    Raises:
        InvalidInputError: if it is none of them.
    """
    if isinstance(system, str):
        system = parse_system(system)
    if isinstance(system, System):
        return replace(system, name=name) if name else system
    if hasattr(system, "search") and not callable(system):
        engine = system

        def engine_search(text: str, k: int) -> list[tuple[str, float]]:
            return [(hit.id, hit.score) for hit in engine.search(text, k=k)]

        return Function(name=name or "engine", search=engine_search)
    if callable(system):
        return Function(name=name, search=system)
    raise InvalidInputError(f"a system is a specification, a SearchEngine or a function, got {shown(system)}")
