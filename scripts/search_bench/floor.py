"""The floor: what the memory traffic of our settings alone would cost on this machine."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from search_bench.child import fastest
from search_bench.measure import Result, chosen

WINDOW = 65536  # documents in a window of a list


@numba.njit(nogil=True)
def in_sequence(values):  # noqa: ANN001, ANN201
    """Sum of all values."""
    total = np.uint64(0)
    for j in range(len(values)):
        total += values[j]
    return total


@numba.njit(nogil=True)
def at_random(values, places):  # noqa: ANN001, ANN201
    """Sum of the values at those places: the loads do not depend on each other."""
    total = np.uint64(0)
    for j in range(len(places)):
        total += values[places[j]]
    return total


@numba.njit(nogil=True)
def in_a_chain(values, steps):  # noqa: ANN001, ANN201
    """Where so many steps lead: every load tells where the next one is."""
    at = np.uint64(0)
    for _ in range(steps):
        at = values[at]
    return at


@numba.njit(nogil=True)
def in_registers(steps):  # noqa: ANN001, ANN201
    """Four chains of multiplications that touch no memory: what a core does when nothing makes it wait."""
    a, b, c, d = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    odd = np.uint64(6364136223846793005)
    for _ in range(steps):
        a, b, c, d = a * odd + b, b * odd + c, c * odd + d, d * odd + a
    return a ^ b ^ c ^ d


def cores() -> float:
    """Arithmetic per second on all cores, as a share of one core's times their number.

    It is below 1 where cores share what they compute with (two hardware threads of one core), a clock, or a
    budget.
    """
    n, steps = os.cpu_count() or 1, 20_000_000
    in_registers(1)  # compiled here
    with ThreadPoolExecutor(n) as pool:
        alone = fastest(lambda: in_registers(steps), time.perf_counter, 3)
        together = fastest(lambda: list(pool.map(in_registers, [steps] * n)), time.perf_counter, 3)
    return alone / together


def memory_speed() -> tuple[float, float, float]:
    """Nanoseconds of one thread per byte in sequence, per random cache line, and per line of a chain.

    Random lines are asked for many at a time. In a chain each line tells where the next one is.
    """
    values = np.ones(1 << 25, np.uint64)
    places = np.random.default_rng(0).integers(0, len(values), 1 << 20)
    order = np.random.default_rng(1).permutation(len(values) // 8) * 8  # one step, one line
    chain = np.zeros(len(values), np.uint64)
    chain[order] = np.roll(order, -1)
    times = []
    for call in (
        lambda: in_sequence(values),
        lambda: at_random(values, places),
        lambda: in_a_chain(chain, len(places)),
    ):
        call()  # compiled here
        times.append(fastest(call, time.process_time, 3) * 1e9)
    return times[0] / values.nbytes, times[1] / len(places), times[2] / len(places)


def print_floor(
    results: list[Result], terms_per_query: float, in_lists: float, terms_per_doc: float, n_docs: int
) -> None:
    """What our best settings must at least read: list entries of 3 bytes, rows of 4 bytes an entry."""
    per_byte, per_line, alone = memory_speed()
    print(f"\narithmetic without memory on all cores: {cores():.2f} of linear")
    print(
        f"memory, one thread: {1 / per_byte:.1f} GB/s in sequence; a random line {alone:.0f} ns alone, "
        f"{per_line:.1f} ns among many"
    )
    windows = -(-n_docs // WINDOW)
    for run in [
        r for result in results if result["engine"] == "splade-engine" for r in chosen(result["runs"])
    ]:
        if run is None or run["settings"] == "exact":
            continue
        entries = min(int(run["settings"].split()[0]), in_lists)
        # about half of the terms have entries above the threshold; each list of each window starts two lines
        lines = 2 * windows * terms_per_query / 2 + 2 * run["scored"]
        bytes_read = 3 * entries + 4 * terms_per_doc * run["scored"]
        least = (bytes_read * per_byte + lines * per_line) / 1e3
        waiting = (bytes_read * per_byte + lines * alone) / 1e3
        print(
            f"{run['settings']}: {bytes_read / 1e3:.0f} kB, {lines:.0f} lines: {least:.1f} us if the misses"
            f" overlap, {waiting:.1f} if each were waited for; took {run['us']:.1f}"
        )
