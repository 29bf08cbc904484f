"""Reranking: another model, or any function, scores the best hits anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many, path_of, shown, whole
from splade_engine.engine.fusion import Side
from splade_engine.engine.snippets import READ
from splade_engine.errors import InvalidInputError
from splade_engine.files import file_stamp

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
        scores = checked_scores(score(self.query, documents) if documents else [], len(documents))
        order = np.argsort(-scores, kind="stable")
        return ordinals[order], scores[order]


def checked_scores(scores: object, n_documents: int, place: str = "rerank") -> NDArray[np.float32]:
    """Scores as float32[n_documents].

    Args:
        scores: a list, an array or a tensor of numbers, one per document; a column of a matrix is one too.
        n_documents: how many there have to be.
        place: begins the messages.

    Raises:
        InvalidInputError: where it is something else, their number is not that of the documents, or one is
            not finite in float32.
    """
    check_many(place, scores, "scores, one per document")
    found = scores if isinstance(scores, np.ndarray) else [_plain(score) for score in cast("Any", scores)]
    try:
        values = np.asarray(found)
    except ValueError:
        values = np.zeros((n_documents, 0))  # lists of different lengths
    if values.ndim == 2 and values.shape[1] == 1:  # as a model of one label gives them
        values = values[:, 0]
    if values.ndim != 1:
        raise InvalidInputError(f"{place}: one number per document is expected, got shape {values.shape}")
    if len(values) != n_documents:
        raise InvalidInputError(f"{place}: {len(values)} scores for {n_documents} documents")
    if n_documents and values.dtype.kind not in "iuf":
        raise InvalidInputError(f"{place}: a score is no number: {shown(found[0])}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise InvalidInputError(f"{place}: a score is not finite")
    return values


def _plain(score: Any) -> Any:
    """A tensor's or a scalar's number; anything else as it is."""
    return score.tolist() if hasattr(score, "tolist") else score


def cross_encoder(source: str) -> Scorer:
    """A sentence-transformers CrossEncoder as a scorer; the last ones stay loaded until their files change.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        CheckpointError: it cannot be loaded.
    """
    from splade_engine.encoder.dense import DENSE_FILES, model_files

    folder = path_of("rerank", source).resolve()
    found = model_files(folder, DENSE_FILES) if folder.is_dir() else []
    return _loaded(str(folder) if found else source, tuple((path, file_stamp(path)) for path in found))


@lru_cache(maxsize=2)
def _loaded(source: str, files: tuple[tuple[Path, tuple[int, int, int] | None], ...]) -> Scorer:
    """The model of a folder while it holds these files, or of a name on the Hub."""
    from splade_engine.encoder.cross import load_cross

    model = load_cross(source, device=None)

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        scores: list[float] = model.score([query] * len(texts), texts).tolist()
        return scores

    return score
