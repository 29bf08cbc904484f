"""Reranking: another model, or any function, scores the best hits anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown, whole
from splade_engine.engine.fusion import Side
from splade_engine.engine.snippets import READ
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.engine.searching import SidedRanking
    from splade_engine.index import IndexReader

Scorer = Callable[[str, Sequence[str]], Sequence[float]]
"""(query text, document texts) -> one score per document, larger is better."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """What scores the best hits of a search anew; the list ends with them."""

    # a function, or a sentence-transformers CrossEncoder (folder or hub id)
    scorer: Scorer | str
    # hits that are scored
    depth: int = 50

    def __post_init__(self) -> None:
        if not callable(self.scorer) and (not isinstance(self.scorer, str) or not self.scorer):
            raise InvalidInputError(
                f"rerank takes a function or the name of a CrossEncoder, got {shown(self.scorer)}"
            )
        whole("rerank: depth", self.depth, 1, 100_000)


def rerank_of(value: object) -> Rerank | None:
    """What the option `rerank` stands for.

    Raises:
        InvalidInputError: for anything but a function, a name and a `Rerank`.
    """
    if value is None or isinstance(value, Rerank):
        return value
    return Rerank(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Reranked:
    """The best documents of another ranking, in the order of a scorer."""

    reader: IndexReader
    first: SidedRanking
    query: str
    rerank: Rerank

    @property
    def size(self) -> int:
        """A depth at which the list surely ends."""
        return min(self.rerank.depth, self.first.size)

    def top(self, depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores of the best `depth`."""
        ordinals, scores = self._scored
        return ordinals[:depth], scores[:depth]

    def sides(self, ordinal: int) -> tuple[Side, ...]:
        """Where the document stood before, and what the scorer says."""
        ordinals, scores = self._scored
        place = int(np.flatnonzero(ordinals == ordinal)[0])
        score = float(scores[place])
        before, values = self.first.top(self.size)
        was = int(np.flatnonzero(before == ordinal)[0])
        sides = self.first.sides(ordinal) or (Side("terms", was + 1, float(values[was]), 0.0),)
        return (*sides, Side("rerank", place + 1, score, score))

    @cached_property
    def _scored(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ordinals, _ = self.first.top(self.size)
        titles = self.reader.beginnings("title", ordinals, READ)
        texts = self.reader.beginnings("text", ordinals, READ)
        documents = [f"{a} {b}".strip() for (a, _), (b, _) in zip(titles, texts, strict=True)]
        scorer = self.rerank.scorer
        score = cross_encoder(scorer) if isinstance(scorer, str) else scorer
        scores = checked_scores(list(score(self.query, documents)) if documents else [], len(documents))
        order = np.argsort(-scores, kind="stable")
        return ordinals[order], scores[order]


def checked_scores(scores: Sequence[float], n_documents: int, place: str = "rerank") -> NDArray[np.float32]:
    """Scores as an array.

    Raises:
        InvalidInputError: beginning with `place`, where their number is not that of the documents, or one is
            not finite.
    """
    if len(scores) != n_documents:
        raise InvalidInputError(f"{place}: {len(scores)} scores for {n_documents} documents")
    values = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(values).all():
        raise InvalidInputError(f"{place}: a score is not finite")
    return values


@lru_cache(maxsize=2)
def cross_encoder(source: str) -> Scorer:
    """A sentence-transformers CrossEncoder as a scorer; the last ones stay loaded.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        CheckpointError: it cannot be loaded.
    """
    from splade_engine.encoder.cross import load_cross

    model = load_cross(source, device=None)

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        scores: list[float] = model.score([query] * len(texts), texts).tolist()
        return scores

    return score
