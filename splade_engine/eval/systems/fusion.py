"""Fusing the rankings of several systems: reciprocal ranks, weighted sums of normalised scores."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.errors import InvalidInputError
from splade_engine.eval.measures.effectiveness import measure
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, one_of, within

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench

NORMS = ("minmax", "zscore")
_STEPS = 20  # weights tried on a dev split: 0, 0.05, ... 1
_TUNED_MEASURE = "nDCG@10"


def reciprocal_rank(rankings: Sequence[Ranking], k: int, constant: float = 60.0) -> Ranking:
    """The sum of 1 / (constant + rank) is a document's score (Cormack et al. 2009)."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, doc_id in enumerate(ranking.ids, 1):
            scores[doc_id] = scores.get(doc_id, 0.0) + 1.0 / (constant + rank)
    return _best(scores, k)


def weighted_sum(rankings: Sequence[Ranking], weights: Sequence[float], k: int, norm: str) -> Ranking:
    """Sum of normalised scores; a document that a ranking does not hold gets that ranking's lowest value."""
    normalised = [normalise(ranking.scores, norm) for ranking in rankings]
    base = sum(w * float(n[-1]) for w, n in zip(weights, normalised, strict=True) if len(n))
    scores: dict[str, float] = {}
    for ranking, values, weight in zip(rankings, normalised, weights, strict=True):
        if not len(ranking):
            continue
        lowest = float(values[-1])
        for doc_id, value in zip(ranking.ids, values.tolist(), strict=True):
            scores[doc_id] = scores.get(doc_id, base) + weight * (value - lowest)
    return _best(scores, k)


def normalise(scores: NDArray[np.float32], norm: str) -> NDArray[np.float64]:
    """`minmax`: to [0, 1] (a single score, or equal ones, become 1); `zscore`: mean 0, deviation 1."""
    values = scores.astype(np.float64)
    if not len(values):
        return values
    if norm == "minmax":
        span = values.max() - values.min()
        return (values - values.min()) / span if span > 0 else np.ones(len(values))
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values))


def _best(scores: Mapping[str, float], k: int) -> Ranking:
    """Ties stay in the order in which the documents were met: the first system's."""
    order = sorted(scores, key=lambda doc_id: -scores[doc_id])[:k]
    return Ranking.in_order(order, [scores[doc_id] for doc_id in order])


@dataclass(frozen=True)
class _Fusion(System):
    """What fusions share: the parts' rankings, and the sum of the parts' times."""

    needs: ClassVar[range] = range(2, 100)

    def _fused(
        self, bench: Bench, split: Split, k: int, weights: Sequence[float], notes: tuple[str, ...] = ()
    ) -> Answer:
        answers = [bench.answer(part, split, k) for part in self.parts]
        rankings = {}
        own = np.empty(len(split.queries))
        for i, query_id in enumerate(split.queries):
            started = time.perf_counter()
            rankings[query_id] = self._fuse([a.run[query_id] for a in answers], k, weights)
            own[i] = time.perf_counter() - started
        return Answer(
            run=Run(self.title, rankings),
            seconds=own + np.sum([a.seconds for a in answers], axis=0),
            mode=" + ".join(dict.fromkeys(a.mode for a in answers)),
            notes=notes,
        )

    @abstractmethod
    def _fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float]) -> Ranking:
        """One query's rankings as one."""


@dataclass(frozen=True)
class ReciprocalRank(_Fusion):
    """Reciprocal rank fusion; 60 is the constant of Cormack, Clarke and Buettcher (2009)."""

    kind: ClassVar[str] = "rrf"

    k: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within("k", self.k, 0, 1e6)

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Fuse the parts' rankings."""
        return self._fused(bench, split, k, ())

    def _fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float]) -> Ranking:
        return reciprocal_rank(rankings, k, self.k)


@dataclass(frozen=True)
class WeightedSum(_Fusion):
    """Weighted sum of two systems' normalised scores: weight x first + (1 - weight) x second.

    Options:
        norm: `minmax` or `zscore`; without it, or without `weight`, the best of a grid by nDCG@10 on the
            dataset's dev split; where it has none, minmax and 0.5, which the notes say.
        weight: of the first system.
    """

    kind: ClassVar[str] = "sum"
    needs: ClassVar[range] = range(2, 3)

    norm: str = ""
    weight: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm:
            one_of("norm", self.norm, NORMS)
        if self.weight is not None:
            within("weight", self.weight, 0, 1)

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Choose what is left open, then fuse."""
        chosen, notes = self._chosen(bench, k)
        weight = chosen.weight
        if weight is None:
            raise InvalidInputError(f"system {self.spec!r}: no weight was chosen")
        return chosen._fused(bench, split, k, (weight, 1 - weight), notes)

    def _fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float]) -> Ranking:
        return weighted_sum(rankings, weights, k, self.norm)

    def _chosen(self, bench: Bench, k: int) -> tuple[WeightedSum, tuple[str, ...]]:
        if self.norm and self.weight is not None:
            return self, ()
        norms = (self.norm,) if self.norm else NORMS
        weights = (self.weight,) if self.weight is not None else tuple(i / _STEPS for i in range(_STEPS + 1))
        dev = bench.dataset.dev
        if dev is None:
            weight = self.weight if self.weight is not None else 0.5
            note = f"norm {norms[0]}, weight {weight:g}: not chosen, there is no dev split"
            return self._with(norms[0], weight), (note,)
        runs = [bench.answer(part, dev, k).run for part in self.parts]
        best, value = choose(runs, dev, norms, weights, k)
        note = f"norm {best[0]}, weight {best[1]:g}: best {_TUNED_MEASURE} ({value:.4f}) on split {dev.name}"
        return self._with(*best), (note,)

    def _with(self, norm: str, weight: float) -> WeightedSum:
        return WeightedSum(self.parts, self.title, norm, weight)


def choose(
    runs: Sequence[Run], dev: Split, norms: Sequence[str], weights: Sequence[float], k: int
) -> tuple[tuple[str, float], float]:
    """The norm and weight with the best mean nDCG@10 on a split; of equal ones the weight nearest 0.5."""
    best, best_value = (norms[0], weights[0]), -1.0
    for norm in norms:
        for weight in sorted(weights, key=lambda w: abs(w - 0.5)):
            fused = {
                q: weighted_sum([run[q] for run in runs], (weight, 1 - weight), k, norm).top(10)
                for q in dev.qrels
            }
            value = measure(Run("dev", fused), dev.qrels, (_TUNED_MEASURE,)).mean[_TUNED_MEASURE]
            if value > best_value + 1e-9:
                best, best_value = (norm, weight), value
    return best, best_value
