"""Measures by their ir_measures names, per query and mean.

The numbers are trec_eval's (through pytrec_eval-terrier, which ir_measures calls): nDCG has linear gains,
the mean goes over every judged query (`trec_eval -c`), and a query for which nothing was returned counts as
zero. So does a judged query without a relevant document, in trec_eval since 2006 (its change log, 8.1) as in
pytrec_eval and ir_measures. BEIR's own collections have no such query; where there are some, the mean over
the others is given as well, since people who leave them out of their judgments report that one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splade_engine.arguments import check_many
from splade_engine.collections.qrels import Qrels, checked_qrels
from splade_engine.errors import InvalidInputError
from splade_engine.eval.run.runs import Ranking, Run

logger = logging.getLogger(__name__)

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100")
DEEPEST = 1_000_000  # hits that a measure can look at
_ALIASES = {
    "MRR": "RR",
    "NDCG": "nDCG",
    "RECALL": "R",
    "PRECISION": "P",
    "MAP": "AP",
    "HIT": "Success",
    "SUCCESS": "Success",
    "JUDGED": "Judged",
    "RR": "RR",
    "R": "R",
    "P": "P",
    "AP": "AP",
}
_NAME = re.compile(r"([A-Za-z_-]+)(\(.*\))?(?:@(\d+))?")
# computed by TREC's gdeval, which takes the queries' numbers, and of an id with a space the first word alone
_BY_COLUMNS = re.compile(r"ERR@|nDCG\(dcg='exp-log2'\)@")
# how ir_measures says that a parameter has no default
_NOT_GIVEN = re.compile(r"invalid param (\w+)=<object object.*")


@dataclass(frozen=True)
class Effectiveness:
    """What the measures say about one run.

    Attributes:
        mean: by measure name, over every judged query.
        mean_answerable: the same over the queries with a relevant document; empty where all have one.
        per_query: by measure name, then by query id.
    """

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]
    mean_answerable: dict[str, float] = field(default_factory=dict)


def parse_measures(names: str | Sequence[str]) -> tuple[str, ...]:
    """Measure names in their ir_measures spelling, each once; separators are white space and commas.

    `MRR@10`, `NDCG@10`, `Recall@100`, `MAP` and trec_eval's `ndcg_cut_10` are understood.

    Raises:
        InvalidInputError: naming the measure that is not known.
    """
    if not isinstance(names, str):
        check_many("measures", names, "names")
    text = names if isinstance(names, str) else " ".join(names)
    asked = re.split(r"[\s,]+(?![^(]*\))", text.strip())
    if asked == [""]:
        raise InvalidInputError("no measure given (for example nDCG@10)")
    return tuple(dict.fromkeys(_canonical(name) for name in asked))


def _canonical(name: str) -> str:
    import ir_measures

    match = _NAME.fullmatch(name)
    spelled = name
    if match:
        base, options, cutoff = match.groups()
        base = _ALIASES.get(base.upper().replace("_", "-"), base)
        spelled = base + (options or "") + (f"@{cutoff}" if cutoff else "")
    for parse in (ir_measures.parse_measure, lambda text: ir_measures.parse_trec_measure(text)[0]):
        try:
            parsed = parse(spelled)
            written = str(parsed)
        except Exception:  # ir_measures raises NameError, ValueError, KeyError, AssertionError alike
            continue
        cutoff, persistence = parsed.params.get("cutoff"), parsed.params.get("p")
        if cutoff is not None and not 1 <= cutoff <= DEEPEST:
            raise InvalidInputError(f"measure {name!r}: the cutoff must be between 1 and {DEEPEST:,}")
        if persistence is not None and not 0 < persistence < 1:
            raise InvalidInputError(f"measure {name!r}: p must be above 0 and below 1")
        return written
    raise InvalidInputError(
        f"unknown measure {name!r:.60} (ir_measures names, for example nDCG@10, RR@10, R@100, AP, P@5, "
        "Judged@10)"
    )


def check_computable(measures: Sequence[str]) -> None:
    """Compute the measures of two hits, so that what cannot be computed here is known before hours of work.

    Raises:
        InvalidInputError: naming the measure, and why (a parameter out of range, a missing package).
    """
    run = Run("", {"q": Ranking(("a", "b"), np.array([2.0, 1.0], np.float32))})
    for name in parse_measures(measures):
        measure(run, {"q": {"a": 1, "c": 0}}, (name,))


def largest_cutoff(measures: Sequence[str]) -> int:
    """The depth to which a run must go for these measures (0 when none of them has a cutoff)."""
    import ir_measures

    cutoffs = [ir_measures.parse_measure(m).params.get("cutoff") for m in measures]
    return max((int(c) for c in cutoffs if c is not None), default=0)


def measure(run: Run, qrels: Qrels, measures: Sequence[str]) -> Effectiveness:
    """Compute measures of a run; every query of `qrels` counts, those of the run alone do not.

    Raises:
        InvalidInputError: if no query of the run is judged, a grade is not a whole number, or a measure
            cannot be computed here.
    """
    import ir_measures

    names, qrels = parse_measures(measures), checked_qrels(qrels)
    if not any(query in qrels for query in run):
        raise InvalidInputError(f"run {run.name!r}: none of its {len(run)} queries is judged")
    asked = [ir_measures.parse_measure(name) for name in names]
    scored: dict[str, dict[str, float]] = {q: dict(run[q]) for q in run if q in qrels and len(run[q])}
    grades = qrels
    per_query: dict[str, dict[str, float]] = {name: {} for name in names}
    for metric in _computed(asked, grades, scored):
        per_query[str(metric.measure)][metric.query_id] = float(metric.value)
    for values in per_query.values():
        for query in grades:
            values.setdefault(query, 0.0)
    mean = {name: sum(values.values()) / len(values) for name, values in per_query.items()}
    answerable = {query for query, judged in qrels.items() if max(judged.values(), default=0) > 0}
    some = answerable if len(answerable) < len(grades) else set()
    mean_answerable = {name: _mean_over(values, some) for name, values in per_query.items() if some}
    return Effectiveness(mean, per_query, mean_answerable)


def _mean_over(values: Mapping[str, float], queries: Set[str]) -> float:
    return sum(value for query, value in values.items() if query in queries) / len(queries)


def _computed(asked: list[Any], grades: Any, scored: Any) -> list[Any]:
    import ir_measures

    if not scored:
        return []
    queries: list[str] = []
    if any(_BY_COLUMNS.match(str(measure)) for measure in asked):
        queries, grades, scored = _numbered(grades, scored)
    try:
        found = list(ir_measures.iter_calc(asked, grades, scored))
        return (
            [metric._replace(query_id=queries[int(metric.query_id)]) for metric in found]
            if queries
            else found
        )
    except Exception as error:
        names = ", ".join(map(str, asked))
        reason = _NOT_GIVEN.sub("needs \\1", (str(error).splitlines() or [type(error).__name__])[0])
        raise InvalidInputError(f"measure {names} cannot be computed: {reason:.200}") from error


def _numbered(grades: Any, scored: Any) -> tuple[list[str], Any, Any]:
    """Queries, and the same judgments and scores with numbers for ids."""
    queries = list(grades)
    documents: dict[str, str] = {}

    def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {documents.setdefault(id, str(len(documents))): value for id, value in values.items()}

    places = {query: str(place) for place, query in enumerate(queries)}
    return (
        queries,
        {places[query]: renamed(judged) for query, judged in grades.items()},
        {places[query]: renamed(found) for query, found in scored.items()},
    )
