"""What is printed: building, the best run for each recall, growth with the number of documents."""

from __future__ import annotations

import numpy as np

from search_bench.measure import EXACT, TARGETS, Result, Run, chosen

NAN = float("nan")


def print_table(results: list[Result], nnz: int) -> None:
    """Two tables: what building costs, and the best run for each recall."""
    print(f"{'engine':21} {'build s':>8} {'cpu s':>8} {'bytes':>14} {'B/posting':>9} {'peak MiB':>9}  build")
    for r in results:
        for b in r["builds"]:
            took, size = f"{b['seconds']:8.1f} {b['cpu']:8.1f}", f"{b['bytes']:14,d} {b['bytes'] / nnz:9.2f}"
            print(f"{r['engine']:21} {took} {size} {b['peak'] / 2**20:9.0f}  {b['build']}")
    print(
        f"\n{'recall':>7} {'engine':21} {'us/query':>9} {'reached':>8} {'p50':>7} {'p99':>7} {'scored':>7}"
        f" {'q/s, all':>9} {'linear':>6}  build: settings"
    )
    for place, target in enumerate((*TARGETS, EXACT)):
        for r in results:
            print(f"{target:7.3f} {r['engine']:21} " + run_line(chosen(r["runs"])[place]))


def run_line(run: Run | None) -> str:
    """One row from its times on; a dash where the recall was not reached."""
    if run is None:
        return f"{'-':>9}"
    return (
        f"{run['us']:9.1f} {run['recall']:8.4f} {run.get('p50', NAN):7.0f} {run.get('p99', NAN):7.0f}"
        f" {run['scored']:7.0f} {run.get('all_cores', NAN):9.0f} {run.get('linear', NAN):6.2f}"
        f"  {run['build']}: {run['settings']}"
    )


def print_growth(sizes: list[int], results: list[list[Result]]) -> None:
    """Microseconds at recall .95 for each number of documents, and the slope of their logarithms."""
    for name in dict.fromkeys(r["engine"] for at_size in results for r in at_size):
        times = []
        for n, at_size in zip(sizes, results, strict=True):
            runs = [chosen(r["runs"])[TARGETS.index(0.95)] for r in at_size if r["engine"] == name]
            if runs and runs[0] is not None:
                times.append((n, runs[0]["us"]))
                words = f"{runs[0]['build']}: {runs[0]['settings']}"
                print(f"{name:21} {n:10,d} documents {runs[0]['us']:8.1f} us  {words}")
        if len(times) > 1:
            n_docs, us = np.log(np.array(times)).T
            slope = np.polyfit(n_docs, us, 1)[0]
            print(f"{name:21} time at recall .95 grows as n^{slope:.2f}")
