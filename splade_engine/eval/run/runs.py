"""Runs: what a system returned for each query, and the TREC file form of it.

trec_eval ignores the rank column: it sorts by score (single precision) and breaks ties by document id,
descending (anserini#252). So a run that is written with tied scores is measured in another order than it
was returned in. Here a ranking always has strictly decreasing float32 scores: the order in which a system
returned its hits survives every evaluator, and the numbers we print are the numbers that trec_eval prints
for the file we write.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError
from splade_engine.files import atomic_file

_COLUMNS = "qid Q0 docid rank score tag"


@dataclass(frozen=True, eq=False)
class Ranking:
    """The hits of one query, best first.

    Attributes:
        ids: document ids, each once.
        scores: float32[len(ids)], strictly decreasing.
    """

    ids: tuple[str, ...]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return zip(self.ids, self.scores.tolist(), strict=True)

    @classmethod
    def in_order(cls, ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Keep the given order; a score that does not fall becomes the next float32 below."""
        return cls(tuple(ids), _strictly_decreasing(np.asarray(scores, dtype=np.float32)))

    @classmethod
    def by_trec_eval(cls, ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Order as trec_eval does: float32 score descending, then document id descending."""
        values = np.asarray(scores, dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: (float(values[i]), ids[i]), reverse=True)
        return cls.in_order([ids[i] for i in order], values[order])

    def top(self, k: int) -> Ranking:
        """The first `k` hits."""
        return self if len(self) <= k else Ranking(self.ids[:k], self.scores[:k])

    def without(self, doc_id: str) -> Ranking:
        """The same ranking with one document left out."""
        if doc_id not in self.ids:
            return self
        place = self.ids.index(doc_id)
        return Ranking(self.ids[:place] + self.ids[place + 1 :], np.delete(self.scores, place))


@dataclass(frozen=True, eq=False)
class Run:
    """Rankings by query id, in the order of the queries; without hits a ranking is empty."""

    name: str
    rankings: Mapping[str, Ranking]

    def __len__(self) -> int:
        return len(self.rankings)

    def __getitem__(self, query_id: str) -> Ranking:
        return self.rankings[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rankings)

    def top(self, k: int) -> Run:
        """The first `k` hits of every query."""
        return Run(self.name, {q: r.top(k) for q, r in self.rankings.items()})

    def without_own_ids(self) -> Run:
        """Drop the hit that is the query itself (BEIR does so; it matters where queries are documents)."""
        return Run(self.name, {q: r.without(q) for q, r in self.rankings.items()})

    def with_known_ids(self, known: Iterable[str]) -> Run:
        """Give ids that were written escaped (they hold white space) their own spelling back."""
        escaped = {escape_id(i): i for i in known if escape_id(i) != i}
        if not escaped:
            return self
        rankings = {
            escaped.get(q, q): Ranking(tuple(escaped.get(i, i) for i in r.ids), r.scores)
            for q, r in self.rankings.items()
        }
        return Run(self.name, rankings)


def escape_id(doc_id: str) -> str:
    """An id as one column of a TREC file: white space becomes `%20`, `%09`, ..."""
    if doc_id.split() != [doc_id]:
        return "".join(f"%{ord(c):02X}" if c.isspace() else c for c in doc_id) or "%"
    return doc_id


def _strictly_decreasing(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(scores) < 2 or bool((np.diff(scores) < 0).all()):
        return scores
    out = scores.copy()
    low = np.float32(-np.inf)
    for i in range(1, len(out)):
        if not out[i] < out[i - 1]:
            out[i] = np.nextafter(out[i - 1], low)
    return out


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as TREC text, gzipped when the name ends in .gz; nine digits a score keep float32.

    Raises:
        StorageError: if the disk refuses.
    """
    path = Path(path)
    with atomic_file(path) as raw, ExitStack() as stack:
        # mtime 0: the same run gives the same bytes
        file = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, 0)) if path.suffix == ".gz" else raw
        tag = escape_id(run.name)
        for query_id, ranking in run.rankings.items():
            query = escape_id(query_id)
            for rank, (doc_id, score) in enumerate(ranking, 1):
                file.write(f"{query} Q0 {escape_id(doc_id)} {rank} {score:.9g} {tag}\n".encode())


def read_run(path: str | Path) -> Run:
    """Read a TREC run; the ranking is trec_eval's: by score, ties by document id descending.

    Raises:
        DatasetError: naming the file and line of a malformed line, a score that is no number, or a
            document that appears twice for one query.
    """
    path = Path(path)
    ids: dict[str, list[str]] = {}
    scores: dict[str, list[float]] = {}
    seen: set[tuple[str, str]] = set()
    tag = ""
    for number, line in read_lines(path):
        columns = line.split()
        if len(columns) != 6:
            raise DatasetError(
                f"{path}:{number}: a run line has 6 columns ({_COLUMNS}), this one {len(columns)}"
            )
        query_id, _, doc_id, _, text, tag = columns
        score = _score(text, f"{path}:{number}")
        if (query_id, doc_id) in seen:
            raise DatasetError(f"{path}:{number}: document {doc_id!r} appears twice for query {query_id!r}")
        seen.add((query_id, doc_id))
        ids.setdefault(query_id, []).append(doc_id)
        scores.setdefault(query_id, []).append(score)
    if not ids:
        raise DatasetError(f"{path}: no run lines")
    return Run(tag, {q: Ranking.by_trec_eval(ids[q], scores[q]) for q in ids})


def _score(text: str, place: str) -> float:
    try:
        score = float(text)
    except ValueError:
        raise DatasetError(f"{place}: score {text!r} is not a number") from None
    if not math.isfinite(score):
        raise DatasetError(f"{place}: score {text!r} is not finite")
    return score
