"""Load: the engine called in Python, then the server asked by wrk over so many connections."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from server_bench.server import K, Server
from splade_engine.engine import SearchEngine
from splade_engine.index.arguments import default_threads

WRK = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local at = 0
local pause = %g
if pause > 0 then
  delay = function() return math.random() * 2 * pause end
end
request = function()
  at = at %% #bodies + 1
  return wrk.format("POST", "/search", {["Content-Type"] = "application/json"}, bodies[at])
end
"""


def load(options: argparse.Namespace, engine: SearchEngine, queries: Sequence[str], work: Path) -> list[Any]:
    """The engine in Python, then the server over so many connections."""
    rows = [direct(engine, queries, threads, options.seconds) for threads in sorted({1, default_threads()})]
    at_once = wrk_script(queries, work)
    counts = list(map(int, options.connections.split(",")))
    paced = wrk_script(queries, work, pause=max(counts) * 1000 / options.rate)
    with Server(options.index, work / "load.log", "--workers", str(options.workers)) as server:
        wrk(server, at_once, 4, 2)  # warm
        rows += [wrk(server, at_once, connections, options.seconds) for connections in counts]
        last = wrk(server, paced, max(counts), options.seconds)
        rows.append({**last, "name": f"served, {options.rate:.0f} per second"})
    print(f"{'':<24}{'queries/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'cpu ms':>8}")
    for row in rows:
        numbers = f"{row['per_second']:>10.0f}{row['p50']:>9.2f}{row['p99']:>9.2f}{row['cpu']:>8.2f}"
        print(f"{row['name']:<24}{numbers}" + (f"  {row['errors']} errors" if row["errors"] else ""))
    return rows


def wrk_script(queries: Sequence[str], work: Path, pause: float = 0.0) -> Path:
    """What wrk asks, with milliseconds of pause before each request of a connection, on average."""
    bodies = work / "bodies"
    bodies.write_text("".join(json.dumps({"query": q, "k": K, "fields": []}) + "\n" for q in queries))
    script = work / f"ask-{pause:g}.lua"
    script.write_text(WRK % (bodies, pause))
    return script


def soak(options: argparse.Namespace, queries: Sequence[str], work: Path) -> dict[str, Any]:
    """The server's memory before and after a steady load."""
    connections = max(map(int, options.connections.split(",")))
    script = wrk_script(queries, work, pause=connections * 1000 / options.rate)
    with Server(options.index, work / "soak.log") as server:
        wrk(server, script, connections, 10)
        before = server.measured("process_resident_memory_bytes") / 1e6
        row = wrk(server, script, connections, options.soak)
        after = server.measured("process_resident_memory_bytes") / 1e6
    print(
        f"{options.soak} s at {row['per_second']:.0f} per second: memory {before:.0f} MB before, "
        f"{after:.0f} MB after; {row['errors']} errors"
    )
    return {**row, "before_mb": before, "after_mb": after}


def direct(engine: SearchEngine, queries: Sequence[str], threads: int, seconds: float) -> dict[str, Any]:
    """Calls of `SearchEngine.search`, from so many threads."""
    times: list[float] = []
    engine.search(queries[0], K)  # warm
    end = time.perf_counter() + seconds
    began, cpu = time.perf_counter(), time.process_time()

    def ask(first: int) -> None:
        at = first
        while (start := time.perf_counter()) < end:
            engine.search(queries[at % len(queries)], K)
            times.append(time.perf_counter() - start)
            at += 1

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, range(0, 97 * threads, 97)))
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    cuts = statistics.quantiles(times, n=100)
    return {
        "name": f"in Python, {threads} thread" + ("s" if threads > 1 else ""),
        "per_second": len(times) / spent,
        "p50": cuts[49] * 1000,
        "p99": cuts[98] * 1000,
        "cpu": cpu / len(times) * 1000,
        "errors": 0,
    }


def wrk(server: Server, script: Path, connections: int, seconds: int) -> dict[str, Any]:
    """One run of wrk: its summary, and what the server's processor time says."""
    before = server.processor_seconds(), server.answered()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    out = subprocess.run(
        [*command, "-s", str(script), f"http://{server.address}"], check=True, capture_output=True, text=True
    ).stdout
    cpu = server.processor_seconds() - before[0]
    answered = server.answered() - before[1]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    broken = re.search(r"Socket errors: (.*)", out)
    errors = int(refused[1]) if refused else 0
    errors += sum(map(int, re.findall(r"\d+", broken[1]))) if broken else 0
    return {
        "name": f"served, {connections} connection" + ("s" if connections > 1 else ""),
        "per_second": float(_found(r"Requests/sec:\s+([\d.]+)", out)),
        "p50": _milliseconds(_found(r"(?m)^\s+50%\s+(\S+)", out)),
        "p99": _milliseconds(_found(r"(?m)^\s+99%\s+(\S+)", out)),
        "cpu": cpu / max(1, answered) * 1000,
        "errors": errors,
    }


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk wrote something else than expected:\n{text}")
    return match[1]


def _milliseconds(shown: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", shown).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]
