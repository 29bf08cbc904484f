"""Are two systems' means different? Paired t-test, paired randomisation test, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splade_engine.errors import InvalidInputError
from splade_engine.eval.results import Result

RESAMPLES = 10_000
ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One system against another on one collection by one measure.

    Attributes:
        difference: mean of (system - baseline) over the judged queries.
        wins, losses, ties: queries by the sign of the difference (equal within 1e-9 is a tie).
        t_p: two-sided p of the paired t-test.
        randomisation_p: two-sided p of the paired randomisation test (sign flips of the differences).
        t_p_holm, randomisation_p_holm: the same after Holm's correction over the family of comparisons.
    """

    system: str
    baseline: str
    dataset: str
    measure: str
    difference: float
    wins: int
    losses: int
    ties: int
    t_p: float
    randomisation_p: float
    t_p_holm: float
    randomisation_p_holm: float

    @property
    def significant(self) -> bool:
        """Whether both corrected tests are below 0.05."""
        return max(self.t_p_holm, self.randomisation_p_holm) < ALPHA


def paired_tests(
    first: Mapping[str, float], second: Mapping[str, float], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """p of the paired t-test and of the paired randomisation test, two-sided (Smucker et al. 2007).

    Raises:
        InvalidInputError: if the two do not have the same queries.
    """
    if first.keys() != second.keys():
        odd = next(iter(first.keys() ^ second.keys()))
        raise InvalidInputError(f"query {odd!r} was measured for only one of the two systems")
    from scipy import stats

    differences = np.array([first[query] - second[query] for query in first])
    if len(differences) < 2 or np.allclose(differences, 0, atol=1e-12):
        return 1.0, 1.0
    constant = np.ptp(differences) < 1e-12  # the t-test would divide by a deviation of zero
    t_p = 0.0 if constant else float(stats.ttest_1samp(differences, 0.0).pvalue)
    test = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        rng=np.random.default_rng(seed),
        batch=max(1, 2_000_000 // len(differences)),
    )
    return t_p, float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p-values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(1.0, running)
    return [float(p) for p in adjusted]


def against_baseline(
    results: Sequence[Result], baseline: str, measure: str, seed: int = 42
) -> list[Comparison]:
    """Every system against the baseline on every collection that both have; one collection is one family.

    Raises:
        InvalidInputError: if no result is of the baseline.
    """
    if not any(r.system == baseline for r in results):
        systems = ", ".join(dict.fromkeys(r.system for r in results))
        raise InvalidInputError(f"baseline {baseline!r} is not one of the systems ({systems})")
    out: list[Comparison] = []
    for dataset in dict.fromkeys(r.dataset for r in results):
        here = {r.system: r.effectiveness.per_query.get(measure) for r in results if r.dataset == dataset}
        base = here.pop(baseline, None)
        others = {system: values for system, values in here.items() if values is not None}
        if base is None or not others:
            continue
        tests = [paired_tests(values, base, seed) for values in others.values()]
        t_holm, r_holm = holm([t for t, _ in tests]), holm([r for _, r in tests])
        for i, (system, values) in enumerate(others.items()):
            differences = np.array([values[q] - base[q] for q in base])
            out.append(
                Comparison(
                    system=system,
                    baseline=baseline,
                    dataset=dataset,
                    measure=measure,
                    difference=float(differences.mean()),
                    wins=int((differences > 1e-9).sum()),
                    losses=int((differences < -1e-9).sum()),
                    ties=int((np.abs(differences) <= 1e-9).sum()),
                    t_p=tests[i][0],
                    randomisation_p=tests[i][1],
                    t_p_holm=t_holm[i],
                    randomisation_p_holm=r_holm[i],
                )
            )
    return out


def letters(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], str]:
    """A mark by (system, dataset): "+" better and "-" worse than the baseline, both corrected p below
    0.05."""
    return {(c.system, c.dataset): "+" if c.difference > 0 else "-" for c in comparisons if c.significant}
