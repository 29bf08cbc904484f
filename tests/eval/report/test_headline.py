"""What an evaluation says in words, and the intervals behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.measures.significance import against_baseline, interval
from splade_engine.eval.report.comparison import Comparison
from splade_engine.eval.report.headline import headlines
from splade_engine.eval.report.tables import measures_table, significance_table
from splade_engine.eval.report.written import markdown_tables
from splade_engine.eval.run.results import Result


def made_result(system, dataset, values):
    by_query = {f"q{i}": float(value) for i, value in enumerate(values)}
    found = Effectiveness({"nDCG@10": float(np.mean(values))}, {"nDCG@10": by_query})
    n = len(values)
    return Result(system, system, dataset, "test", 100, n, n, 0, 0, "exact", 10, found)


def comparison(values, baseline="bm25"):
    """A comparison of {collection: {system: values per query}}."""
    results = [made_result(s, d, row) for d, systems in values.items() for s, row in systems.items()]
    return Comparison(results, {}, baseline=baseline)


def test_one_collection():
    draw = np.random.default_rng(3)
    base = draw.uniform(0.3, 0.9, 30)
    other = np.clip(base + draw.normal(0.03, 0.2, 30), 0, 1)
    c = comparison({"mine": {"sparse": other, "bm25": base}})
    test = against_baseline(c.results, "bm25", "nDCG@10")[0]
    short = lambda value, sign="": f"{value:{sign}.3f}".replace("0.", ".", 1)  # noqa: E731
    assert not test.significant
    assert headlines(c) == [
        f"sparse {short(other.mean())}, bm25 {short(base.mean())}: {short((other - base).mean(), '+')} "
        f"nDCG@10 (95 % interval {short(test.low, '+')} to {short(test.high, '+')}), p = {short(test.p)} "
        "with 30 queries, not significant"
    ]


def test_a_clear_difference_and_several_systems():
    base = np.linspace(0.2, 0.5, 40)
    wave = 0.01 * np.sin(np.arange(40))
    c = comparison({"mine": {"bm25": base, "a": base + 0.2 + wave, "same": base}})
    first, second = headlines(c)
    assert first.startswith("a .55") and first.endswith("p < .001 with 40 queries, significant")
    assert ": +.000 nDCG@10" in second and second.endswith("p = 1.000 with 40 queries, not significant")
    assert headlines(comparison({"mine": {"bm25": base}})) == []


def test_two_systems_need_no_baseline():
    base = np.linspace(0.2, 0.5, 40)
    values = {"a": base + 0.1, "bm25": base}
    assert headlines(comparison({"mine": values}, baseline="")) == headlines(comparison({"mine": values}))
    assert headlines(comparison({"mine": {**values, "b": base}}, baseline="")) == []


def test_several_collections_are_counted():
    base = np.linspace(0.2, 0.5, 40)
    wave = 0.01 * np.sin(np.arange(40))
    values = {
        "one": {"bm25": base, "a": base + 0.2 + wave},
        "two": {"bm25": base, "a": base - 0.1 + wave},
        "three": {"bm25": base, "a": base},
    }
    line = headlines(comparison(values))[0]
    assert line.startswith(
        "a against bm25 on 3 collections, nDCG@10: better on 1 (1 significantly), worse on 1 (1"
    )
    assert "equal on 1; mean .38" in line and "against .350: +.03" in line


@pytest.mark.parametrize("n", [2, 3, 50])
def test_the_interval_is_student_s(n):
    values = np.random.default_rng(n).normal(0.4, 0.1, n)
    expected = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert interval(values) == pytest.approx(expected)


def test_one_query_has_no_interval():
    assert interval(np.array([0.5])) == (-np.inf, np.inf)


def test_a_third_system_may_lack_the_measure():
    """Two folders of other measures ended in a traceback."""
    c = comparison({"mine": {"a": [0.1, 0.2, 0.4], "bm25": [0.3, 0.2, 0.2]}})
    third = made_result("c", "mine", [1.0, 1.0, 1.0])
    c.results.append(replace(third, effectiveness=Effectiveness({"RR": 1.0}, {"RR": dict(q0=1.0)})))
    assert headlines(c)[0].startswith("a .233, bm25 .233: +.000 nDCG@10 (95 %") and len(headlines(c)) == 1
    assert "\n| c | - |\n" in markdown_tables(c)


def test_numbers_beyond_ten_keep_their_zero():
    c = comparison({"mine": {"a": [0.83, 0.0], "bm25": [0.0, 0.83]}})
    assert "(95 % interval -10.546 to +10.546), p = 1.000 with 2 queries" in headlines(c)[0]


def test_tables_show_intervals():
    base = np.linspace(0.2, 0.5, 40)
    c = comparison({"mine": {"bm25": base, "a": base + 0.01}})
    row = measures_table(c.results, "bm25").rows
    half = stats.t.ppf(0.975, 39) * base.std(ddof=1) / 40**0.5
    assert row[0].cells[1].text == f"0.3500 \u00b1{half:.4f}" and row[0].kind == "baseline"
    assert row[1].cells[1].best
    table = significance_table(against_baseline(c.results, "bm25", "nDCG@10"))
    place = [column.label for column in table.columns].index("95 % interval")
    assert table.rows[0].cells[place].text == "+0.0100 to +0.0100"
