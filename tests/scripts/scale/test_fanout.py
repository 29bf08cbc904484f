"""Simulated times against what can be computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scripts.scale.__main__ import FIGURES
from scripts.scale.fanout import FanOut, simulated
from scripts.scale.figures import Figures, read_figures

EVEN = {"quantiles": (0.0, 1.0), "milliseconds": (0.0, 100.0), "network_ms": 0.0}


@pytest.fixture
def figures() -> Figures:
    return replace(read_figures(FIGURES), **EVEN)  # type: ignore[arg-type]


@pytest.mark.parametrize("shards", [1, 4, 50])
def test_without_load_it_is_the_largest_of_so_many_draws(figures: Figures, shards: int) -> None:
    times = simulated(figures, 1e-9, FanOut(shards, queries_per_second=0.001), queries=20_000)
    assert times.mean() == pytest.approx(100 * shards / (shards + 1), rel=0.02)
    assert np.quantile(times, 0.5) == pytest.approx(100 * 0.5 ** (1 / shards), rel=0.02)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_the_line_is_that_of_a_queue_with_fixed_service(figures: Figures, load: float) -> None:
    """Pollaczek-Khinchine: in M/D/1 the mean wait is load / (2 (1 - load)) services."""
    still = replace(figures, milliseconds=(1e-9, 1e-9))
    service = 10.0
    how = FanOut(1, queries_per_second=load * 1000 / service)
    waits = simulated(still, service, how, queries=200_000) - service
    assert waits.mean() == pytest.approx(service * load / (2 * (1 - load)), rel=0.05)


def test_replicas_and_cores_share_the_load(figures: Figures) -> None:
    still = replace(figures, milliseconds=(1e-9, 1e-9))
    alone = simulated(still, 10.0, FanOut(4, queries_per_second=80.0)).mean()
    two = simulated(still, 10.0, FanOut(4, replicas=2, queries_per_second=80.0)).mean()
    cores = simulated(still, 10.0, FanOut(4, cores=2, queries_per_second=80.0)).mean()
    assert cores < two < alone


def test_shards_on_one_machine_wait_for_its_processors(figures: Figures) -> None:
    still = replace(figures, milliseconds=(1e-9, 1e-9))
    four = FanOut(4, queries_per_second=0.1)
    assert np.median(simulated(still, 10.0, four)) == pytest.approx(10.0)
    assert np.median(simulated(still, 10.0, replace(four, shared_cores=2))) == pytest.approx(20.0)
    assert np.median(simulated(still, 10.0, replace(four, shared_cores=1))) == pytest.approx(40.0)


def test_a_second_request_cuts_the_tail(figures: Figures) -> None:
    straggling = replace(figures, quantiles=(0.0, 0.99, 1.0), milliseconds=(1.0, 1.0, 1000.0))
    how = FanOut(20, replicas=2, queries_per_second=0.1)
    plain = np.quantile(simulated(straggling, 1.0, how), 0.99)
    hedged = np.quantile(simulated(straggling, 1.0, replace(how, hedge_ms=5.0)), 0.99)
    assert hedged < plain / 5
