from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from splade_engine.errors import InvalidInputError
from splade_engine.eval.measures.effectiveness import Effectiveness
from splade_engine.eval.measures.significance import (
    against_baseline,
    differences,
    holm,
    letters,
    marks,
    paired_t,
    randomisation,
)
from splade_engine.eval.run.results import Result


def _result(system: str, values: list[float], dataset: str = "d") -> Result:
    per_query = {f"q{i}": v for i, v in enumerate(values)}
    found = Effectiveness({"m": float(np.mean(values))}, {"m": per_query})
    return Result(system, system, dataset, "test", 1, len(values), len(values), 0, 0, "exact", 10, found)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_paired_t_test_is_scipys():
    rng = np.random.default_rng(1)
    a, b = rng.random(30), rng.random(30)
    assert paired_t(a - b) == pytest.approx(float(stats.ttest_rel(a, b).pvalue))
    assert paired_t(np.zeros(5)) == 1.0
    assert paired_t(np.full(5, 0.25)) == 2 / 2**5
    assert paired_t(np.array([0.3])) == 1.0


def test_the_randomisation_test_agrees_with_scipys_exact_one():
    """12 queries: scipy enumerates all 4,096 sign flips; 20,000 random ones come within 3 standard errors."""
    rng = np.random.default_rng(2)
    rows = rng.normal([[0.0], [0.3], [0.8]], 1.0, (3, 12))
    ours = randomisation(rows, seed=3, resamples=20_000)
    for row, p in zip(rows, ours, strict=True):
        exact = stats.permutation_test((row,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        assert p == pytest.approx(exact, abs=3 * np.sqrt(0.25 / 20_000))


def test_the_randomisation_test_is_repeatable_and_never_zero():
    rows = np.full((1, 40), 0.5)
    assert randomisation(rows, 7, 1000).tolist() == randomisation(rows, 7, 1000).tolist()
    assert randomisation(rows, 7, 1000)[0] == pytest.approx(1 / 1001)


def test_against_a_baseline():
    rng = np.random.default_rng(4)
    base = rng.random(60)
    results = [
        _result("base", base.tolist()),
        _result("better", np.minimum(base + 0.2, 2).tolist()),
        _result("noise", (base + rng.normal(0, 0.3, 60)).tolist()),
        _result("worse", (base - 0.1 - 0.01 * rng.random(60)).tolist()),
    ]
    found = against_baseline(results, "base", "m")
    assert [c.system for c in found] == ["better", "noise", "worse"]
    assert (found[0].wins, found[0].losses, found[0].ties) == (60, 0, 0)
    assert found[0].difference == pytest.approx(0.2)
    assert all(c.t_p_holm >= c.t_p and c.randomisation_p_holm >= c.randomisation_p for c in found)
    assert marks(found) == {("better", "d"): "+", ("worse", "d"): "-"}


def test_letters_name_the_beaten():
    base = np.linspace(0, 1, 50)
    wobble = 0.01 * np.sin(np.arange(50))
    results = [
        _result("one", base.tolist()),
        _result("two", (base + 0.3 + wobble).tolist()),
        _result("three", (base + 0.1 - wobble).tolist()),
    ]
    assert letters(results, "m") == {("two", "d"): "ac", ("three", "d"): "a"}


def test_two_queries_are_not_enough_for_a_letter():
    """Both differ by the same, so that the deviation is zero and the t-test's p was 0."""
    assert letters([_result("one", [1.0, 1.0]), _result("two", [0.5, 0.5])], "m") == {}
    found = letters([_result("one", [1.0] * 6), _result("two", [0.5] * 6)], "m")
    assert found == {("one", "d"): "b"}  # 2 / 2^6 = .03


def test_an_unknown_baseline_and_other_queries():
    results = [_result("a", [1.0, 2.0])]
    with pytest.raises(InvalidInputError, match=r"baseline 'b' is not one of the systems \(a\)"):
        against_baseline(results, "b", "m")
    with pytest.raises(InvalidInputError, match="query 'q1' was measured for only one"):
        differences({"q0": 1.0, "q1": 1.0}, {"q0": 1.0})
