"""Pseudo-relevance feedback: the first hits of a query change its vector, and it is searched again.

On sparse vectors Rocchio's and RM3's formulas act on term weights as they did on term counts; on dense
vectors Rocchio's is a mean of vectors (Li et al. 2021). Each can be interpolated with a second system (Li
et al. 2022, "To Interpolate or not to Interpolate: PRF, Dense and Sparse Retrievers"): `before`, so that
the feedback documents are the best of both systems; `after`, so that the final scores are of both; or `both`.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from splade_engine.engine.feedback import rm3, rocchio
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run
from splade_engine.eval.systems.base import Answer, System, one_of, within
from splade_engine.eval.systems.bench import asked
from splade_engine.eval.systems.dense import Dense, dense_collection
from splade_engine.eval.systems.fusion import weighted_sum
from splade_engine.eval.systems.sparse import Sparse
from splade_engine.eval.systems.sparse_collection import sparse_collection
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.collections.dataset import Split
    from splade_engine.eval.systems.bench import Bench

INTERPOLATIONS = ("none", "before", "after", "both")


@dataclass(frozen=True)
class _Feedback(System):
    """What every kind of feedback shares: the first pass, the interpolation, the clock.

    parts: the system whose vectors are changed, and, for interpolation, a second one.
    """

    needs: ClassVar[range] = range(1, 3)

    docs: int = 10
    interpolate: str = "none"
    weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        within("docs", self.docs, 1, 1000)
        within("weight", self.weight, 0, 1)
        one_of("interpolate", self.interpolate, INTERPOLATIONS)
        if (len(self.parts) == 2) != (self.interpolate != "none"):
            raise InvalidInputError(
                "interpolate=before, after or both takes a second system, and a second system one of them"
            )

    def answer(self, bench: Bench, split: Split, k: int) -> Answer:
        """Search, change the query, search again."""
        first = bench.answer(self.parts[0], split, k)
        other = bench.answer(self.parts[1], split, k) if len(self.parts) == 2 else None
        second = self._second_pass(bench, split)
        rankings = {}
        own = np.empty(len(split.queries))
        for i, query_id, _ in asked(bench, split):
            started = time.perf_counter()
            ranking = first.run[query_id]
            if other is not None and self.interpolate in ("before", "both"):
                ranking = self._interpolated(ranking, other.run[query_id], k)
            ranking = second(i, ranking.top(self.docs), k) if len(ranking) else ranking
            if other is not None and self.interpolate in ("after", "both"):
                ranking = self._interpolated(ranking, other.run[query_id], k)
            rankings[query_id] = ranking
            own[i] = time.perf_counter() - started
        return Answer(
            run=Run(self.title, rankings),
            seconds=own + first.seconds + (other.seconds if other is not None else 0.0),
            mode=first.mode,
        )

    def _interpolated(self, first: Ranking, other: Ranking, k: int) -> Ranking:
        return weighted_sum((first, other), (self.weight, 1 - self.weight), k, "minmax")

    @abstractmethod
    def _second_pass(self, bench: Bench, split: Split) -> Any:
        """A function (number of the query, feedback ranking, k) -> Ranking."""


@dataclass(frozen=True)
class _SparseFeedback(_Feedback):
    terms: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        within("terms", self.terms, 1, 1e6)
        if not isinstance(self.parts[0], Sparse):
            raise InvalidInputError(f"{self.kind} changes sparse vectors: its first system must be sparse")

    def _second_pass(self, bench: Bench, split: Split) -> Any:
        part = self.parts[0]
        if not isinstance(part, Sparse):
            raise InvalidInputError(f"{self.kind}: the first system is not sparse")
        collection = sparse_collection(bench, part.encoder, part.idf, adapt=part.adapt)
        vectors = collection.query_vectors(split)

        def search(number: int, feedback: Ranking, k: int) -> Ranking:
            rows = collection.index.vectors([collection.index.ordinal(i) for i in feedback.ids])
            changed = self._changed(vectors[number], rows, feedback.scores)
            return collection.ranking(collection.search(changed, k, exact=True))

        return search

    @abstractmethod
    def _changed(
        self, query: SparseVectors, feedback: SparseVectors, scores: NDArray[np.float32]
    ) -> SparseVectors:
        """The query with the feedback documents' terms, their rows and scores given."""


def _check_weights(alpha: float, beta: float) -> None:
    within("alpha", alpha, 0, 1e6)
    within("beta", beta, 0, 1e6)
    if alpha == beta == 0:
        raise InvalidInputError("alpha and beta are both 0: nothing would be searched")


@dataclass(frozen=True)
class Rocchio(_SparseFeedback):
    """Rocchio's feedback on sparse vectors; 10 documents, 10 terms, 1 and 0.75 are Anserini's defaults."""

    kind: ClassVar[str] = "rocchio"

    alpha: float = 1.0
    beta: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weights(self.alpha, self.beta)

    def _changed(
        self, query: SparseVectors, feedback: SparseVectors, scores: NDArray[np.float32]
    ) -> SparseVectors:
        return rocchio(query, feedback, self.terms, self.alpha, self.beta)


@dataclass(frozen=True)
class RM3(_SparseFeedback):
    """RM3 on sparse vectors; 10 documents, 10 terms and an original weight of 0.5 are Anserini's defaults."""

    kind: ClassVar[str] = "rm3"

    original: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        within("original", self.original, 0, 1)

    def _changed(
        self, query: SparseVectors, feedback: SparseVectors, scores: NDArray[np.float32]
    ) -> SparseVectors:
        return rm3(query, feedback, scores, self.terms, self.original)


@dataclass(frozen=True)
class DenseRocchio(_Feedback):
    """alpha * q + beta * mean(d) on dense vectors; 0.4, 0.6, 3 documents as in Li et al. 2021."""

    kind: ClassVar[str] = "dense-prf"

    docs: int = 3
    alpha: float = 0.4
    beta: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weights(self.alpha, self.beta)
        if not isinstance(self.parts[0], Dense):
            raise InvalidInputError("dense-prf changes dense vectors: its first system must be dense")

    def _second_pass(self, bench: Bench, split: Split) -> Any:
        part = self.parts[0]
        if not isinstance(part, Dense):
            raise InvalidInputError("dense-prf: the first system is not dense")
        collection = dense_collection(bench, part.model)
        index, _, _ = collection.index("flat", 32, 0)
        vectors = collection.query_vectors(split)
        rows = {doc_id: i for i, doc_id in enumerate(collection.ids)}

        def search(number: int, feedback: Ranking, k: int) -> Ranking:
            mean = collection.vectors[[rows[i] for i in feedback.ids]].mean(axis=0)
            return collection.ranking(index, self.alpha * vectors[number] + self.beta * mean, k)

        return search
