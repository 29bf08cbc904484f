"""Pseudo-relevance feedback: the first hits of a query change its vector, and it is searched again.

Rocchio's and RM3's formulas act on term weights as they did on term counts. What is returned is the second
search: scores and explanations are those of the changed query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import double, shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.effort import EXACT
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.index import IndexReader
    from splade_engine.index.filter.nodes import Where

MOST_DOCS = 100


@dataclass(frozen=True, slots=True)
class Feedback:
    """How a query learns from its first hits."""

    # hits that it learns from
    docs: int = 5
    # terms that it takes from them, the heaviest
    terms: int = 30
    # `rm3` (a relevance model) or `rocchio` (the mean of the documents)
    method: Literal["rm3", "rocchio"] = "rm3"
    # RM3: share of the query as it was. Anserini's default is .5, for BM25; the vectors of a learned encoder
    # hold expansions already and want less (docs/evaluation.md).
    original: float = 0.9
    # Rocchio: weights of the query and of the documents, Anserini's defaults
    alpha: float = 1.0
    beta: float = 0.75

    def __post_init__(self) -> None:
        for name, most in (("docs", MOST_DOCS), ("terms", 1_000_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= most:
                raise InvalidInputError(
                    f"feedback: {name} must be an integer from 1 to {most:,}, got {shown(value)}"
                )
        if self.method not in ("rm3", "rocchio"):
            raise InvalidInputError(f"feedback: method must be rm3 or rocchio, got {shown(self.method)}")
        for name, largest in (("original", 1.0), ("alpha", 1e6), ("beta", 1e6)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= double(value) <= largest:
                raise InvalidInputError(
                    f"feedback: {name} must be a number from 0 to {largest:g}, got {shown(value)}"
                )
        if self.alpha == self.beta == 0:
            raise InvalidInputError("feedback: alpha and beta are both 0: nothing would be searched")

    def changed(
        self, query: SparseVectors, documents: SparseVectors, scores: NDArray[np.float32]
    ) -> SparseVectors:
        """The query with the documents' terms, their scores for it given, best first."""
        if self.method == "rocchio":
            return rocchio(query, documents, self.terms, self.alpha, self.beta)
        return rm3(query, documents, scores, self.terms, self.original)


def fed_back(
    reader: IndexReader, query: SparseVectors, where: Where | None, feedback: Feedback
) -> SparseVectors:
    """One query changed by its best hits among the documents that match a filter; as it is without hits."""
    found = reader.search(query, min(feedback.docs, max(1, len(reader))), effort=EXACT, where=where)
    hits = found.ordinals[0] >= 0
    if not hits.any():
        return query
    return feedback.changed(query, reader.vectors(found.ordinals[0][hits]), found.scores[0][hits])


def rocchio(
    query: SparseVectors, feedback: SparseVectors, n_terms: int, alpha: float, beta: float
) -> SparseVectors:
    """The query alpha * q / |q| + beta * (mean of d / |d|, its heaviest `n_terms` terms), of length |q|.

    Rocchio (1971) without negative feedback, on vectors of length one as Anserini does it.
    """
    norm = float(np.linalg.norm(query.weights))
    mean = _mean(feedback, [1 / max(float(np.linalg.norm(w)), 1e-12) for _, w in feedback])
    return _added(query, alpha / max(norm, 1e-12), _heaviest(mean, n_terms), beta, norm)


def rm3(
    query: SparseVectors,
    feedback: SparseVectors,
    scores: NDArray[np.float32],
    n_terms: int,
    original: float,
) -> SparseVectors:
    """The query original * q / sum(q) + (1 - original) * relevance model, scaled back to sum(q).

    The relevance model is sum over documents of score(d) / sum(scores) * d / sum(d), its heaviest
    `n_terms` terms made to sum to one (Lavrenko and Croft 2001; Abdul-Jaleel et al. 2004), with term
    weights for probabilities.
    """
    mass = float(query.weights.sum())
    share = scores / max(float(scores.sum()), 1e-12) * len(scores)
    factors = [float(s) / max(float(w.sum()), 1e-12) for s, (_, w) in zip(share, feedback, strict=True)]
    model = _heaviest(_mean(feedback, factors), n_terms)
    total = max(float(model.sum()), 1e-12)
    return _added(query, original / max(mass, 1e-12), model / total, 1 - original, mass)


def _mean(feedback: SparseVectors, factors: Sequence[float]) -> NDArray[np.float64]:
    dense = np.zeros(feedback.n_terms)
    for factor, (terms, weights) in zip(factors, feedback, strict=True):
        dense[terms] += factor * weights
    return dense / max(len(feedback), 1)


def _heaviest(dense: NDArray[np.float64], n_terms: int) -> NDArray[np.float64]:
    if np.count_nonzero(dense) <= n_terms:
        return dense
    kept = np.argsort(-dense, kind="stable")[:n_terms]
    out = np.zeros_like(dense)
    out[kept] = dense[kept]
    return out


def _added(
    query: SparseVectors, alpha: float, model: NDArray[np.float64], beta: float, scale: float
) -> SparseVectors:
    dense = beta * model
    terms, weights = query.row(0)
    dense[terms] += alpha * weights
    kept = np.flatnonzero(dense > 0)
    values = (dense[kept] * (scale if scale > 0 else 1.0)).astype(np.float32)
    return SparseVectors(np.array([0, len(kept)]), kept, values, query.n_terms)
