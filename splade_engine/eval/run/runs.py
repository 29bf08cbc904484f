"""Runs: what a system returned for each query, and the TREC file form of it.

trec_eval ignores the rank column: it sorts by score (single precision) and breaks ties by document id,
descending (anserini#252). So a run that is written with tied scores is measured in another order than it
was returned in. Here a ranking always has strictly decreasing float32 scores: the order in which a system
returned its hits survives every evaluator, and the numbers we print are the numbers that trec_eval prints
for the file we write.
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splade_engine.arguments import check_many, first_twice, flag, many, path_of, shown, whole
from splade_engine.collections.qrels import Qrels, checked_mapping
from splade_engine.collections.text_lines import read_lines, trec_columns
from splade_engine.collections.trec_ids import escape_id, unescape_id
from splade_engine.errors import DatasetError
from splade_engine.files import atomic_file, refuse_ours
from splade_engine.plain_text import is_text

logger = logging.getLogger(__name__)

_BEYOND = 2.0**128 - 2.0**103  # from here on single precision rounds to infinity
_COLUMNS = "qid Q0 docid rank score tag"


@dataclass(frozen=True, eq=False)
class Ranking:
    """The hits of one query, best first.

    Attributes:
        ids: document ids, each once.
        scores: float32[len(ids)], strictly decreasing. The array is a copy that cannot be written to.

    Raises:
        DatasetError: an id is no text or stands there twice, a score is no number of single precision or does
            not fall, or there are more of the one than of the other.
    """

    ids: tuple[str, ...]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        ids = tuple(many("ids", self.ids))
        scores = np.array(_single(ids, self.scores))
        _check_ids(ids)
        falls = scores[1:] < scores[:-1]
        if not falls.all():
            at = int(np.argmin(falls)) + 1
            raise DatasetError(
                f"document {shown(ids[at])}: score {scores[at]:g} stands behind {scores[at - 1]:g}; "
                "Ranking.in_order keeps an order that has equal scores, Ranking.by_trec_eval makes one"
            )
        scores.flags.writeable = False
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "scores", scores)

    def __reduce__(self) -> tuple[type[Ranking], tuple[object, object]]:
        return Ranking, (self.ids, self.scores)  # the scores of a copy cannot be written to either

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return zip(self.ids, self.scores.tolist(), strict=True)

    @classmethod
    def in_order(cls, ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Keep the given order; a score that does not fall becomes the next float32 below.

        Raises:
            DatasetError: naming the document whose score is no number, or beyond float32; an id as `Ranking`.
        """
        ids = many("ids", ids)
        return cls(tuple(ids), _strictly_decreasing(_single(ids, scores)))

    @classmethod
    def by_trec_eval(cls, ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Order as trec_eval does: float32 score descending, then document id descending.

        Raises:
            DatasetError: as `in_order`.
        """
        ids = many("ids", ids)
        values = _single(ids, scores)
        _check_ids(ids)
        order = sorted(range(len(ids)), key=lambda i: (float(values[i]), ids[i]), reverse=True)
        return cls.in_order([ids[i] for i in order], values[order])

    def top(self, k: int) -> Ranking:
        """The first `k` hits."""
        k = whole("k", k)
        return self if len(self) <= k else Ranking(self.ids[:k], self.scores[:k])

    def without(self, doc_id: str) -> Ranking:
        """The same ranking with one document left out."""
        if doc_id not in self.ids:
            return self
        place = self.ids.index(doc_id)
        return Ranking(self.ids[:place] + self.ids[place + 1 :], np.delete(self.scores, place))


@dataclass(frozen=True, eq=False)
class Run:
    """Rankings by query id, in the order of the queries; without hits a ranking is empty.

    In place of a ranking its scores by document may be given, as pytrec_eval and ir_measures have them: they
    are ordered as trec_eval does.

    Raises:
        DatasetError: for anything else, and as `Ranking`.
    """

    name: str
    rankings: Mapping[str, Ranking]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DatasetError(f"run: a name is expected, got {shown(self.name)}")
        place = f"run {self.name!r:.80}"
        given = checked_mapping(place, self.rankings)
        rankings = {query: _ranking(f"{place}, query {query!r:.80}", found) for query, found in given.items()}
        object.__setattr__(self, "rankings", rankings)

    def __len__(self) -> int:
        return len(self.rankings)

    def __getitem__(self, query_id: str) -> Ranking:
        return self.rankings[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rankings)

    def top(self, k: int) -> Run:
        """The first `k` hits of every query."""
        k = whole("k", k)
        return Run(self.name, {q: r.top(k) for q, r in self.rankings.items()})

    def tell_unjudged(self, qrels: Qrels, where: str) -> None:
        """Say if nothing that was found is judged, as of a run whose ids are another collection's."""
        found = ((self[query].ids, grades) for query, grades in qrels.items() if query in self.rankings)
        if any(map(len, self.rankings.values())) and not any(
            i in grades for ids, grades in found for i in ids
        ):
            logger.warning(
                "%s: none of its hits is judged in %s; are their ids those of it?", self.name, where
            )

    def without_own_ids(self) -> Run:
        """Drop the hit that is the query itself (BEIR does so; it matters where queries are documents)."""
        return Run(self.name, {q: r.without(q) for q, r in self.rankings.items()})

    def over(self, queries: Iterable[str]) -> Run:
        """Of these queries, in their order; a run file says nothing of a query without hits."""
        check_many("queries", queries, "query ids")
        none = Ranking((), np.zeros(0, np.float32))
        return Run(self.name, {q: self.rankings.get(q, none) for q in queries})

    def unescaped(self) -> Run:
        """With the ids that `escape_id` wrote: of a file that is ours."""
        return self._renamed(unescape_id)

    def with_known_ids(self, known: Iterable[str]) -> Run:
        """With the ids of these that a file of any origin means: an escaped one, or one that only looks so.

        Raises:
            DatasetError: if two ids of one ranking, or two queries, turn out to be the same.
        """
        check_many("known", known, "ids", ordered=False)
        ids = set(known)

        def meant(text: str) -> str:
            plain = unescape_id(text)
            return text if text in ids and plain not in ids else plain

        return self._renamed(meant)

    def _renamed(self, name: Callable[[str], str]) -> Run:
        """Only what has a percent sign can change."""
        rankings: dict[str, Ranking] = {}
        for query_id, ranking in self.rankings.items():
            if any("%" in doc_id for doc_id in ranking.ids):
                ids = tuple(name(doc_id) if "%" in doc_id else doc_id for doc_id in ranking.ids)
                if len(set(ids)) != len(ids):
                    raise self._twice(f"query {query_id!r}, {first_twice(ids)!r}")
                ranking = Ranking(ids, ranking.scores)
            query = name(query_id) if "%" in query_id else query_id
            if query in rankings:
                raise self._twice(f"query {query!r}")
            rankings[query] = ranking
        return Run(name(self.name) if "%" in self.name else self.name, rankings)

    def _twice(self, what: str) -> DatasetError:
        return DatasetError(f"run {self.name!r}: {what} stands there twice, escaped and plain")


def _ranking(place: str, given: Any) -> Ranking:
    """A ranking, or what stands for one."""
    if isinstance(given, Ranking):
        return given
    if not isinstance(given, Mapping):
        raise DatasetError(f"{place}: a Ranking or scores by document are expected, got {shown(given)}")
    try:
        return Ranking.by_trec_eval(list(given), list(given.values()))
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from None


def _check_ids(ids: Sequence[object]) -> None:
    """Refuse ids that are no texts, that cannot be written, or of which one stands there twice."""
    odd = next((id for id in ids if not isinstance(id, str) or not is_text(id)), None)
    if odd is not None or None in ids:
        raise DatasetError(f"ids: {shown(odd)} is no text")
    if len(set(ids)) != len(ids):
        raise DatasetError(f"document {shown(first_twice(ids))} stands there twice")


def _single(ids: Sequence[str], scores: ArrayLike) -> NDArray[np.float32]:
    """The scores in single precision, which trec_eval compares, one for each id."""
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(scores, dtype=np.float32)
    except (TypeError, ValueError):
        raise DatasetError(f"scores: a number for each document is expected, got {shown(scores)}") from None
    except OverflowError:
        raise DatasetError(
            f"scores: {shown(scores)} holds one that is not finite in single precision"
        ) from None
    if values.shape != (len(ids),):
        raise DatasetError(f"scores: an array of shape {values.shape} for {len(ids)} documents")
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(np.argmax(bad))
        score = float(np.asarray(scores, dtype=np.float64)[at])
        raise DatasetError(f"document {ids[at]!r}: score {score:g} is not finite in single precision")
    return values


def _strictly_decreasing(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(scores) < 2 or bool((scores[1:] < scores[:-1]).all()):
        return scores
    out = scores.copy()
    low = np.float32(-np.inf)
    with np.errstate(over="ignore"):  # none is below the lowest
        for i in range(1, len(out)):
            if not out[i] < out[i - 1]:
                out[i] = np.nextafter(out[i - 1], low)
    return out


def write_run(run: Run, path: str | Path) -> None:
    """Write a run as TREC text, gzipped when the name ends in .gz; nine digits a score keep float32.

    Raises:
        InvalidInputError: the file would lie in a folder of ours, other than one of results.
        StorageError: if the disk refuses.
    """
    path = path_of("path", path)
    refuse_ours(path, report=True)
    with atomic_file(path) as raw, ExitStack() as stack:
        # mtime 0: the same run gives the same bytes
        file = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, 0)) if path.suffix == ".gz" else raw
        tag = escape_id(run.name)
        for query_id, ranking in run.rankings.items():
            query = escape_id(query_id)
            for rank, (doc_id, score) in enumerate(ranking, 1):
                file.write(f"{query} Q0 {escape_id(doc_id)} {rank} {score:.9g} {tag}\n".encode())


def read_run(path: str | Path, *, may_be_empty: bool = False) -> Run:
    """Read a TREC run; the ranking is trec_eval's: by score, ties by document id descending.

    Columns stand between tabs where there are five or more, else between white space. Ids are as they stand
    in the file; see `Run.unescaped` and `Run.with_known_ids`.

    Raises:
        DatasetError: naming the file and line of a malformed line, a score that is no number, or a
            document that appears twice for one query.
    """
    path, may_be_empty = path_of("path", path), flag("may_be_empty", may_be_empty)
    ids: dict[str, list[str]] = {}
    scores: dict[str, list[float]] = {}
    ranks: dict[str, list[float]] = {}
    seen: set[tuple[str, str]] = set()
    tags: dict[str, None] = {}
    for number, line in read_lines(path):
        columns = trec_columns(line, tabs=5)
        if len(columns) != 6:
            raise DatasetError(
                f"{path}:{number}: a run line has 6 columns ({_COLUMNS}), this one {len(columns)}"
            )
        query_id, _, doc_id, rank, text, tag = columns
        if not query_id or not doc_id:
            raise DatasetError(f"{path}:{number}: the {'query' if not query_id else 'document'} id is empty")
        tags[tag] = None
        score = _score(text, f"{path}:{number}")
        if (query_id, doc_id) in seen:
            raise DatasetError(f"{path}:{number}: document {doc_id!r} appears twice for query {query_id!r}")
        seen.add((query_id, doc_id))
        ids.setdefault(query_id, []).append(doc_id)
        scores.setdefault(query_id, []).append(score)
        ranks.setdefault(query_id, []).append(float(rank) if rank.isascii() and rank.isdigit() else np.nan)
    if not ids and not may_be_empty:
        raise DatasetError(f"{path}: no run lines")
    if len(tags) > 1:
        told = ", ".join(map(shown, [*tags][:3])) + (", ..." if len(tags) > 3 else "")
        logger.warning("%s: holds %d runs (%s), which are read as one", path, len(tags), told)
    turned = [query for query in ids if _disagree(ranks[query], scores[query])]
    if turned:
        logger.warning(
            "%s: ranks and scores disagree in %d of %d queries (the first is %s); the order is that of the "
            "scores, the highest first, as trec_eval reads a run",
            *(path, len(turned), len(ids), shown(turned[0])),
        )
    return Run(next(iter(tags), ""), {q: Ranking.by_trec_eval(ids[q], scores[q]) for q in ids})


def _disagree(ranks: Sequence[float], scores: Sequence[float]) -> bool:
    """Whether a document has a better rank and a lower score than another; what is no rank says nothing."""
    by_rank = np.array(scores, np.float32)[np.argsort(ranks, kind="stable")]
    falls = by_rank[1:] <= by_rank[:-1]
    return bool(np.isfinite(ranks).all() and len(set(ranks)) == len(ranks) and not falls.all())


def _score(text: str, place: str) -> float:
    try:
        score = float(text if text.isascii() and "_" not in text else "")
    except ValueError:
        raise DatasetError(f"{place}: score {text!r} is not a number") from None
    if not abs(score) < _BEYOND:  # NaN neither
        raise DatasetError(f"{place}: score {text!r} is not finite in single precision")
    return score
