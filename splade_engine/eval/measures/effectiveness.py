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
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splade_engine.arguments import check_many, shown
from splade_engine.collections.qrels import LARGEST_GRADE, Qrels, checked_qrels
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
_BPREF_LEVEL = 1000  # trec_eval looks at every level below, whether it has room for it or not
_NO_MEANS = {
    **dict.fromkeys(("NumQ", "NumRel", "NumRet"), "it is a count, of which evaluators give the sum"),
    "Accuracy": "it has no value for a query without a relevant hit",
}
_BY_GDEVAL = 4  # the largest grade that gdeval takes, of ERR and of nDCG with exponential gains
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

    `MRR@10`, `NDCG@10`, `Recall@100`, `MAP` and trec_eval's `ndcg_cut_10` are understood; a name of
    trec_eval's that stands for several measures (`ndcg_cut`) gives all of them.

    Raises:
        InvalidInputError: naming the measure that is not known.
    """
    if not isinstance(names, str):
        check_many("measures", names, "names")
    text = names if isinstance(names, str) else " ".join(map(str, names))  # perhaps ir_measures' own
    asked = re.split(r"[\s,]+(?![^(]*\))", text.strip())
    if asked == [""]:
        raise InvalidInputError("no measure given (for example nDCG@10)")
    return tuple(dict.fromkeys(each for name in asked for each in _canonical(name)))


def understood(names: Iterable[Any]) -> list[str]:
    """Those of the names in a stored result that are measures here; earlier releases knew others."""
    out: list[str] = []
    for name in names:
        with suppress(InvalidInputError):
            out += parse_measures(str(name))
    return out


def _canonical(name: str) -> list[str]:
    import ir_measures

    match = _NAME.fullmatch(name)
    spelled = name
    if match:
        base, options, cutoff = match.groups()
        base = _ALIASES.get(base.upper().replace("_", "-"), base)
        spelled = base + (options or "") + (f"@{cutoff}" if cutoff else "")
    # names of trec_eval may stand for several: ndcg_cut is that at nine cutoffs
    for parse in (lambda text: [ir_measures.parse_measure(text)], ir_measures.parse_trec_measure):
        try:
            parsed = parse(spelled)
            written = [str(each) for each in parsed]
        except Exception:  # ir_measures raises NameError, ValueError, KeyError, AssertionError alike
            continue
        for each in parsed:
            _check_parsed(name, each, alone=len(parsed) == 1)
        return written
    raise InvalidInputError(
        f"unknown measure {name!r:.60} (ir_measures names, for example nDCG@10, RR@10, R@100, AP, P@5, "
        "Judged@10)"
    )


def _check_parsed(name: str, parsed: Any, alone: bool) -> None:
    cutoff, persistence = parsed.params.get("cutoff"), parsed.params.get("p")
    gains = parsed.params.get("gains") or {}
    gains = list(gains.values()) if isinstance(gains, Mapping) else [gains]
    for value in (cutoff, persistence, parsed.params.get("rel"), *gains):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidInputError(f"measure {name!r:.60}: {shown(value)} is no number")
    if cutoff is not None and not 1 <= cutoff <= DEEPEST:
        raise InvalidInputError(f"measure {name!r}: the cutoff must be between 1 and {DEEPEST:,}")
    if parsed.NAME in _NO_MEANS:
        each = "" if alone else f", of which {parsed.NAME} is one"
        raise InvalidInputError(
            f"measure {name!r}{each}: {_NO_MEANS[parsed.NAME]}, and no mean over all judged queries"
        )
    if persistence is not None and not 0 < persistence < 1:
        raise InvalidInputError(f"measure {name!r}: p must be above 0 and below 1")
    if any(gain > LARGEST_GRADE for gain in gains):
        raise InvalidInputError(f"measure {name!r}: a gain must be at most {LARGEST_GRADE:,}")
    if parsed.NAME == "Bpref" and parsed.params.get("rel", 1) > _BPREF_LEVEL:
        raise InvalidInputError(f"measure {name!r}: rel must be at most {_BPREF_LEVEL:,}")


def check_computable(measures: Sequence[str]) -> None:
    """Compute the measures of two hits, so that what cannot be computed here is known before hours of work.

    Raises:
        InvalidInputError: naming the measure, and why (a parameter out of range, a missing package).
    """
    run = Run("", {"q": Ranking(("a", "b"), np.array([2.0, 1.0], np.float32))})
    for name in parse_measures(measures):
        measure(run, {"q": {"a": 1, "c": 0}}, (name,))


def check_grades(measures: Sequence[str], qrels: Qrels) -> None:
    """Refuse grades that gdeval cannot compute with, before hours of work; it tells on standard error alone.

    Raises:
        InvalidInputError: naming the first.
    """
    import ir_measures

    asked = [(name, ir_measures.parse_measure(name)) for name in measures]
    by_gdeval = [name for name, m in asked if m.NAME == "ERR" or m.params.get("dcg") == "exp-log2"]
    for query, judged in qrels.items() if by_gdeval else ():
        for doc_id, grade in judged.items():
            if grade > _BY_GDEVAL:
                raise InvalidInputError(
                    f"measure {by_gdeval[0]}: is computed by gdeval, which takes grades of at most "
                    f"{_BY_GDEVAL}; query {query!r:.80}, document {doc_id!r:.80} has {grade}"
                )


def largest_cutoff(measures: Sequence[str]) -> int:
    """The depth to which a run must go for these measures (0 when none of them has a cutoff)."""
    import ir_measures

    cutoffs = [ir_measures.parse_measure(m).params.get("cutoff") for m in measures]
    return max((int(c) for c in cutoffs if c is not None), default=0)


def measure(
    run: Run | Mapping[str, Mapping[str, float]], qrels: Qrels, measures: Sequence[str]
) -> Effectiveness:
    """Compute measures of a run; every query of `qrels` counts, those of the run alone do not.

    Args:
        run: a run, or scores by query and document.
        qrels: grades by query and document.
        measures: names, see `parse_measures`.

    Raises:
        InvalidInputError: if no query of the run is judged, a grade is not a whole number, or a measure
            cannot be computed here.
    """
    names, qrels = parse_measures(measures), checked_qrels(qrels)
    check_grades(names, qrels)
    if not isinstance(run, Run):
        scores_by_document: Any = run
        run = Run("", scores_by_document)
    if not any(query in qrels for query in run):
        raise InvalidInputError(f"run {run.name!r}: none of its {len(run)} queries is judged")
    per_query: dict[str, dict[str, float]] = {name: {} for name in names}
    for name, query, value in _computed(names, qrels, run):
        per_query[name][query] = value
    for values in per_query.values():
        for query in qrels:
            values.setdefault(query, 0.0)
    mean = {name: sum(values.values()) / len(values) for name, values in per_query.items()}
    answerable = {query for query, judged in qrels.items() if max(judged.values(), default=0) > 0}
    some = answerable if len(answerable) < len(qrels) else set()
    mean_answerable = {name: _mean_over(values, some) for name, values in per_query.items() if some}
    return Effectiveness(mean, per_query, mean_answerable)


def _mean_over(values: Mapping[str, float], queries: Set[str]) -> float:
    return sum(value for query, value in values.items() if query in queries) / len(queries)


def _computed(names: Sequence[str], qrels: Qrels, run: Run) -> Iterator[tuple[str, str, float]]:
    """(measure, query, value) of every query that has hits.

    Queries and documents get numbers for ids: trec_eval reads an id up to a NUL and crashes on half a
    surrogate pair, and gdeval takes of one with a space the first word alone.
    """
    import ir_measures

    queries = [query for query in run if query in qrels and len(run[query])]
    numbered = [_numbered(run[query], qrels[query]) for query in queries]
    if not queries:
        return
    asked: dict[Any, list[str]] = {}
    for name in names:
        asked.setdefault(_as_computed(ir_measures.parse_measure(name)), []).append(name)
    grades = {str(place): judged for place, (judged, _) in enumerate(numbered)}
    scores = {str(place): found for place, (_, found) in enumerate(numbered)}
    try:
        found = [
            metric for group in _groups(asked) for metric in ir_measures.iter_calc(group, grades, scores)
        ]
    except Exception as error:
        reason = _NOT_GIVEN.sub("needs \\1", (str(error).splitlines() or [type(error).__name__])[0])
        raise InvalidInputError(f"measure {', '.join(names)} cannot be computed: {reason:.200}") from error
    for metric in found:
        for name in asked[metric.measure]:
            yield name, queries[int(metric.query_id)], float(metric.value)


def _groups(measures: Iterable[Any]) -> Iterable[list[Any]]:
    """The measures that can be computed together.

    ir_measures gives one without gains, or of all documents, by chance what is meant for another.
    """
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for one in measures:
        options = "gains" in one.params, bool(one.params.get("judged_only"))
        groups.setdefault(options, []).append(one)
    return groups.values()


def _as_computed(measure: Any) -> Any:
    """The nDCG of all hits as that of the best two thousand million, which is the same number.

    Without a cutoff the time that trec_eval takes grows with the square of the largest grade.
    """
    if measure.NAME == "nDCG" and "cutoff" not in measure.params:
        return measure(cutoff=2**31 - 1)
    return measure


def _numbered(ranking: Ranking, judged: Mapping[str, int]) -> tuple[dict[str, int], dict[str, float]]:
    """Grades and scores with numbers for the documents.

    trec_eval takes over what it counted of the query before where no grade is at least 0, and crashes where
    none is at least -1; a document that nobody found, and that is not relevant, changes no measure.
    """
    numbers = {doc_id: str(number) for number, doc_id in enumerate(ranking.ids)}
    grades = {numbers.setdefault(doc_id, str(len(numbers))): grade for doc_id, grade in judged.items()}
    if max(grades.values(), default=-1) < 0:
        grades[str(len(numbers))] = 0
    return grades, {numbers[doc_id]: score for doc_id, score in ranking}
