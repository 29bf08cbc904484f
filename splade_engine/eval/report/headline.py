"""What an evaluation says, in words: a sentence for each system beside the baseline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from splade_engine.eval.measures.significance import PairedTest, against_baseline
from splade_engine.eval.report.means import measure_means

if TYPE_CHECKING:
    from splade_engine.eval.report.comparison import Comparison


def headlines(c: Comparison, groups: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each system but the baseline, by the first measure; none where nothing is tested.

    Of two systems without a baseline the second is it.

    "sparse .728, bm25 .663: +.065 nDCG@10 (95 % interval -.015 to +.145), p = .106 with 30 queries, not
    significant". Over several collections the sentence counts them. The p is that of `PairedTest.p`.

    Args:
        c: what is reported.
        groups: the group of a collection, whose mean counts as one; None: as the comparison has them.
    """
    if not c.baseline and len(c.systems) == 2:
        c = replace(c, baseline=c.systems[1])
    if not c.is_tested or not c.measures:
        return []
    measure = c.measures[0]
    tests = against_baseline(c.results, c.baseline, measure, c.seed)
    sentences = []
    for system in c.systems:
        own = [test for test in tests if test.system == system]
        if len(own) == 1:
            sentences.append(_of_one(c, own[0]))
        elif own:
            sentences.append(_of_several(c, system, own, c.groups if groups is None else groups))
    return sentences


def _of_one(c: Comparison, test: PairedTest) -> str:
    both = (test.system, test.baseline)  # a third may lack the measure
    here = [r for r in c.results if r.dataset == test.dataset and r.system in both]
    values = {r.system: r.effectiveness.mean[test.measure] for r in here}
    verdict = "significant" if test.significant else "not significant"
    where = f" on {test.dataset}" if len(c.datasets) > 1 else ""
    pair = ", ".join(f"{name} {_short(values[name])}" for name in both)
    return (
        f"{pair}{where}: "
        f"{_signed(test.difference)} {test.measure} (95 % interval {_signed(test.low)} to "
        f"{_signed(test.high)}), {_p(test.p)} with {_queries(test.n_queries)}, {verdict}"
    )


def _of_several(c: Comparison, system: str, tests: Sequence[PairedTest], groups: Mapping[str, str]) -> str:
    measure = tests[0].measure
    better = [test for test in tests if test.difference > 0]
    worse = [test for test in tests if test.difference < 0]
    counts = [f"{word} on {_of(found)}" for word, found in (("better", better), ("worse", worse)) if found]
    equal = len(tests) - len(better) - len(worse)
    counts += [f"equal on {equal}"] if equal else []
    means = measure_means(c.results, measure, groups).means
    found = ""
    if system in means and c.baseline in means:
        found = (
            f"; mean {_short(means[system])} against {_short(means[c.baseline])}: "
            f"{_signed(means[system] - means[c.baseline])}"
        )
    return f"{system} against {c.baseline} on {len(tests)} collections, {measure}: {', '.join(counts)}{found}"


def _of(tests: Sequence[PairedTest]) -> str:
    return f"{len(tests)} ({sum(test.significant for test in tests)} significantly)"


def _queries(n: int) -> str:
    return "1 query" if n == 1 else f"{n:,} queries"


def _short(value: float) -> str:
    """Three digits as papers write them: .663."""
    return _without_zero(f"{value:.3f}")


def _signed(value: float) -> str:
    return _without_zero(f"{value:+.3f}")


def _without_zero(number: str) -> str:
    """Without the zero before the point; 10.500 of a measure that goes beyond 1 keeps its own."""
    return re.sub(r"^([+-]?)0\.", r"\1.", number)


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else "p = " + _short(p)
