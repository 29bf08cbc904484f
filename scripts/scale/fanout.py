"""Times of queries that ask every shard and wait for the slowest, drawn from measured times of one shard."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from scripts.scale.figures import Figures


@dataclass(frozen=True)
class FanOut:
    """A cluster under load."""

    shards: int
    # of each shard
    replicas: int = 1
    # of each replica
    cores: int = 1
    queries_per_second: float = 1.0
    # a second request goes to another replica after so long; 0: never
    hedge_ms: float = 0.0
    # where all shards and the client run on one machine: its processors, which whole requests then occupy
    shared_cores: int = 0


def drawn(figures: Figures, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[count]: milliseconds of one request without its search, by the measured quantiles."""
    return np.interp(rng.random(count), figures.quantiles, figures.milliseconds)


def simulated(
    figures: Figures, search_ms: float, cluster: FanOut, *, queries: int = 20_000, seed: int = 1
) -> NDArray[np.float64]:
    """float64[queries]: milliseconds from each query to the slowest shard's answer.

    Queries come at random (Poisson). Every shard sends each to a replica drawn at random, which has `cores`
    workers and a line. What a request takes besides searching is drawn from what was measured, stragglers
    included.
    """
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1000.0 / cluster.queries_per_second, queries))
    if cluster.shared_cores:
        return _on_one_machine(figures, search_ms, cluster, arrivals, rng)
    slowest, service = np.zeros(queries), np.full(queries, search_ms)
    for _ in range(cluster.shards):
        overhead = drawn(figures, queries, rng)
        chosen = rng.integers(0, cluster.replicas, queries)
        waits = _waits(arrivals, service, chosen, cluster.replicas, cluster.cores)
        times = waits + search_ms + overhead
        if cluster.hedge_ms and cluster.replicas > 1:
            second = cluster.hedge_ms + search_ms + drawn(figures, queries, rng)
            times = np.where(times > cluster.hedge_ms, np.minimum(times, second), times)
        np.maximum(slowest, times, out=slowest)
    return slowest + figures.network_ms


def _on_one_machine(
    figures: Figures,
    search_ms: float,
    cluster: FanOut,
    arrivals: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    together = np.repeat(arrivals, cluster.shards)
    service = search_ms + drawn(figures, len(together), rng)
    one = np.zeros(len(together), np.int64)
    times = _waits(together, service, one, 1, cluster.shared_cores) + service
    slowest: NDArray[np.float64] = times.reshape(-1, cluster.shards).max(axis=1)
    return slowest


@numba.njit
def _waits(
    arrivals: NDArray[np.float64],
    service: NDArray[np.float64],
    chosen: NDArray[np.int64],
    replicas: int,
    cores: int,
) -> NDArray[np.float64]:
    """How long each request waits for a worker of the replica that it was sent to."""
    free = np.zeros((replicas, cores))
    waits = np.zeros(len(arrivals))
    for i in range(len(arrivals)):
        workers = free[chosen[i]]
        first = np.argmin(workers)
        begin = max(arrivals[i], workers[first])
        waits[i] = begin - arrivals[i]
        workers[first] = begin + service[i]
    return waits
