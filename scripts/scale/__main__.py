"""What 10 million, 1 billion and 50 billion passages need, and what gives way first.

    python -m scripts.scale plan [--documents 10M,1B,50B] [--qps 100] [--recall 0.95] [--replicas 2]
    python -m scripts.scale measure INDEX... [--requests 2000]
    python -m scripts.scale check INDEX INDEX INDEX INDEX
    python -m scripts.scale costs PASSAGES.jsonl --work FOLDER [--documents 10K,100K,600K]
    python -m scripts.scale kills PASSAGES.jsonl --work FOLDER [--documents 100K] [--kills 50]

`plan` reckons from the figures of scripts/scale/figures.toml (--figures FILE for your own) and simulates the
fan-out. `measure` prints the times of one shard's requests as the figures hold them. `check` sets the
simulation beside real servers. Both start a `splade-engine serve` process per index folder on this machine.
`kills` encodes, builds and serves on a Ray cluster of three nodes on this machine, and kills processes and
nodes meanwhile (`kills/`); a call that was interrupted goes on. `costs` sets Ray beside one process
(`costs.py`). Both need the extra `ray`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scripts.scale.cluster import Cluster, asked_all, asked_one
from scripts.scale.fanout import FanOut, simulated
from scripts.scale.figures import Figures, read_figures
from scripts.scale.plan import Wanted, first_to_break, planned
from splade_engine.errors import InvalidInputError, SpladeEngineError
from splade_engine.index.arguments import default_threads

FIGURES = Path(__file__).with_name("figures.toml")
QUANTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


def main() -> None:
    """Run what is asked for."""
    options = _arguments()
    try:
        _COMMANDS[options.what](options)
    except SpladeEngineError as error:
        sys.exit(f"scale: {error}")


def _plan(options: argparse.Namespace) -> None:
    figures = read_figures(options.figures)
    if options.price is not None:
        figures = Figures(**{**vars(figures), "price_per_hour": options.price})
    rows = []
    for documents in options.documents:
        wanted = Wanted(documents, options.qps, options.recall, options.replicas, options.hours)
        plan = planned(figures, wanted)
        each = FanOut(plan.shards, options.replicas, figures.cores, options.qps, options.hedge)
        times = simulated(figures, plan.search_ms, each, queries=options.queries)
        p50, p99 = np.quantile(times, [0.5, 0.99]).tolist()
        broken = first_to_break(figures, plan, p99)
        rows.append({**asdict(plan), "p50_ms": p50, "p99_ms": p99, "first_to_break": broken})
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        _show(row, options)


def _show(row: dict[str, Any], options: argparse.Namespace) -> None:
    documents, broken = row["wanted"]["documents"], row["first_to_break"]
    lines = {
        "shards x replicas": f"{row['shards']:,} x {options.replicas} = {row['machines']:,} machines",
        "index": f"{row['index_gib']:,.0f} GiB in memory, for one replica",
        "search in a shard": f"{row['search_ms']:.2f} ms of one core; cores busy {row['load']:.1%}",
        "answer": f"p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms",
        "encoding": f"{row['encode_core_hours']:,.0f} core hours: "
        f"{row['encode_machines']:,} machines for {options.hours:g} h",
        "building a shard": f"{row['build_minutes']:.1f} minutes",
        "every shard answers": f"{row['available']:.4%} of the time",
        "price": f"{row['price_per_hour']:,.0f} per hour of serving",
    }
    print(f"\n{documents:,} passages, {options.qps:g} queries per second, recall {options.recall}")
    for name, value in lines.items():
        print(f"  {name:20} {value}")
    for number, (what, knob) in enumerate(broken):
        print(f"  {'gives way first' if number == 0 else 'then':20} {what}: {knob}")


def _measure(options: argparse.Namespace) -> None:
    with Cluster(options.indexes) as cluster:
        times, searches = asked_one(cluster, options.requests)
    rest = np.quantile(times - searches, QUANTILES)
    print(f"quantiles = {list(QUANTILES)}")
    print(f"milliseconds = {[round(float(ms), 3) for ms in rest]}")
    print(f"# search: median {np.median(searches):.3f} ms", file=sys.stderr)


def _check(options: argparse.Namespace) -> None:
    """One shard's times predict those of all."""
    figures = read_figures(options.figures)
    with Cluster(options.indexes) as cluster:
        times, searches = asked_one(cluster, options.requests)
        real = asked_all(cluster, options.requests, options.rate)
    rest = np.quantile(times - searches, np.linspace(0, 1, 201))
    own = Figures(
        **{
            **vars(figures),
            "quantiles": tuple(np.linspace(0, 1, 201).tolist()),
            "milliseconds": tuple(rest.tolist()),
            "network_ms": 0.0,
        }
    )
    how = FanOut(len(options.indexes), queries_per_second=options.rate, shared_cores=default_threads())
    model = simulated(own, float(np.median(searches)), how)
    print(f"{len(options.indexes)} shards, {options.rate:g} queries per second, {options.requests} queries")
    print(f"{'':12}{'p50':>9}{'p90':>9}{'p99':>9}   ms")
    for name, measured in (("one shard", times), ("simulated", model), ("measured", real)):
        print(f"{name:12}" + "".join(f"{ms:9.2f}" for ms in np.quantile(measured, [0.5, 0.9, 0.99])))


def _kills(options: argparse.Namespace) -> None:
    """A line per round and a table; exit code 1 where anything was lost, doubled or wrong."""
    from scripts.scale.kills import Job, prepare, run

    job = Job(options.work, options.documents, kills=options.kills, seconds=options.every, rate=options.rate)
    prepare(options.passages, job)
    outcomes = {stage: run(job, stage, lambda line: print(line, flush=True)) for stage in options.stages}
    print(f"{'stage':8}{'kills':>7}{'compared':>11}{'lost':>6}{'doubled':>9}{'wrong':>7}{'again':>9}")
    for stage, found in outcomes.items():
        counts = f"{found.compared:>11,}{found.lost:>6}{found.doubled:>9}{found.wrong:>7}"
        print(f"{stage:8}{found.killed.total():>7}{counts}{found.again:>9,}")
        print(f"{'':8}{', '.join(f'{n} {kind}' for kind, n in found.killed.most_common())}")
    if not all(found.clean for found in outcomes.values()):
        sys.exit(1)


def _costs(options: argparse.Namespace) -> None:
    """A row per job and size."""
    from scripts.scale.costs import costs, pays_from

    start, rows = costs(options.passages, options.documents, options.work)
    print(f"start: cluster {start.cluster:.1f} s, actors {start.actors:.1f} s")
    print(f"{'':8}{'documents':>10}{'one process':>13}{'Ray':>9}   s")
    for row in rows:
        print(f"{row.what:8}{row.documents:>10,}{row.one:>13.1f}{row.ray:>9.1f}")
    for what in dict.fromkeys(row.what for row in rows):
        of_it = [row for row in rows if row.what == what]
        for name, seconds in (("its start included", start.seconds), ("on a running cluster", 0.0)):
            print(f"{what}: faster with Ray, {name}, from {pays_from(of_it, seconds):,.0f} documents")


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "plan": _plan,
    "measure": _measure,
    "check": _check,
    "costs": _costs,
    "kills": _kills,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parts = parser.add_subparsers(dest="what", required=True)
    plan = parts.add_parser("plan")
    plan.add_argument("--documents", type=_counts, default=_counts("10M,1B,50B"))
    plan.add_argument("--qps", type=float, default=100.0, help="queries per second")
    plan.add_argument("--recall", default="0.95")
    plan.add_argument("--replicas", type=int, default=2)
    plan.add_argument("--hours", type=float, default=24.0, help="for encoding everything")
    plan.add_argument("--price", type=float, help="of a machine per hour")
    plan.add_argument("--hedge", type=float, default=0.0, help="ms after which another replica is asked too")
    plan.add_argument("--queries", type=int, default=20_000, help="queries to simulate")
    plan.add_argument("--json", action="store_true")
    for name in ("measure", "check"):
        part = parts.add_parser(name)
        part.add_argument("indexes", type=Path, nargs="+")
        part.add_argument("--requests", type=int, default=2000)
        part.add_argument("--rate", type=float, default=20.0, help="queries per second of the check")
    costs = parts.add_parser("costs")
    costs.add_argument("passages", type=Path)
    costs.add_argument("--work", type=Path, required=True)
    costs.add_argument("--documents", type=_counts, default=_counts("10K,100K,600K"))
    kills = parts.add_parser("kills")
    kills.add_argument("passages", type=Path)
    kills.add_argument("--work", type=Path, required=True)
    kills.add_argument("--documents", type=_count, default=100_000)
    kills.add_argument("--kills", type=int, default=50, help="of each stage")
    kills.add_argument("--stages", type=_names, default=_names("encode,parts,build,serve"))
    kills.add_argument("--every", type=_range, default=(2.0, 6.0), help="seconds between two kills: 2-6")
    kills.add_argument("--rate", type=float, default=1000.0, help="texts per second of an actor")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _range(text: str) -> tuple[float, float]:
    least, _, most = text.partition("-")
    return float(least), float(most or least)


def _count(text: str) -> int:
    (only,) = _counts(text)
    return only


def _counts(text: str) -> list[int]:
    """10M,1B as numbers.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"([\d_]+(?:\.\d+)?)([KMB]?)", part.strip().upper())
        number = int(float(match[1]) * _UNITS[match[2]]) if match else 0
        if number < 1:
            raise argparse.ArgumentTypeError(f"{part!r}: a number such as 250000, 10M or 1B")
        found.append(number)
    return found


if __name__ == "__main__":
    try:
        main()
    except InvalidInputError as error:
        sys.exit(f"scale: {error}")
