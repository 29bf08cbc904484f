"""Any Python function or SearchEngine as a system under evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from splade_engine.arguments import first_twice, shown
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, parse_system
from splade_engine.eval.systems.bench import asked

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench

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
        rankings = {}
        seconds = np.empty(len(split.queries))
        for i, query_id, text in asked(bench, split):
            started = time.perf_counter()
            hits = list(self.search(text, k))
            seconds[i] = time.perf_counter() - started
            rankings[query_id] = _checked(self.title, query_id, hits, k)
        return Answer(Run(self.title, rankings), seconds, mode="as given")


def _checked(name: str, query_id: str, hits: list[tuple[str, float]], k: int) -> Ranking:
    ids = [str(doc_id) for doc_id, _ in hits]
    if len(set(ids)) != len(ids):
        twice = first_twice(ids)
        raise InvalidInputError(f"system {name!r}, query {query_id!r}: document {twice!r} is returned twice")
    scores = np.array([score for _, score in hits], dtype=np.float32)
    if not np.isfinite(scores).all():
        raise InvalidInputError(f"system {name!r}, query {query_id!r}: a score is not finite")
    return Ranking.in_order(ids, scores).top(k)


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
