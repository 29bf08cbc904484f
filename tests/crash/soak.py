"""Tests 21, 23 and 25: the same bytes from every build, cold starts at once, and no leak in a long life."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from splade_engine.index import SparseIndex
from tests.attacks import victim
from tests.attacks.trials import Tally, scratch
from tests.index import made

COLD = """
import sys
from splade_engine.index import SparseIndex
from tests.attacks import victim
print(victim.answers(__import__("pathlib").Path(sys.argv[1])))
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an index but the lock, which holds a process id."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "write.lock"}


def same_bytes(count: int, seed: int) -> Tally:
    """Test 21: builds and changes with other threads and other batches give the same files."""
    tally = Tally()
    with scratch() as folder:
        documents = made.vectors(seed, 3000, 500, 20)
        first: dict[str, bytes] | None = None
        for number in range(count):
            step = [3000, 1, 7, 1000, 256][number % 5]
            batches = [documents[a : a + step] for a in range(0, 3000, step)]
            path = folder / str(number)
            ix = SparseIndex.build(path, batches, threads=1 + number % 3)
            ix.add(made.vectors(seed + 1, 50, 500), [f"n{i}" for i in range(50)], threads=1 + number % 2)
            ix.delete(["5", "n7"])
            found = contents(path)
            first = found if first is None else first
            tally.trials += 1
            tally.outcomes["equal" if found == first else "DIFFERENT"] += 1
            if found != first:
                tally.losses.append(f"batches of {step}, {1 + number % 3} threads: other bytes")
    return tally


def cold_starts(rounds: int, seed: int, processes: int = 4) -> Tally:
    """Test 23: processes at once without compiled kernels; and a cache folder that cannot be written."""
    tally = Tally()
    with scratch() as folder:
        victim.build(folder / "ix")
        good = str(victim.answers(folder / "ix"))
        for number in range(rounds):
            cache = folder / f"cache-{number}"
            if number % 5 == 4:
                cache.write_text("a file where the folder should be")
            environment = os.environ | {"SPLADE_ENGINE_CACHE": str(cache)}
            environment["PYTHONPATH"] = os.pathsep.join(sys.path)
            command = [sys.executable, "-c", COLD, str(folder / "ix")]
            running = [
                subprocess.Popen(
                    command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
                for _ in range(processes)
            ]
            for process in running:
                out, errors = process.communicate()
                right = process.returncode == 0 and out.strip() == good
                tally.trials += 1
                tally.outcomes["right answers" if right else f"exit {process.returncode}"] += 1
                if not right:
                    tally.losses.append(f"round {number}: exit {process.returncode}: {errors[-300:]}")
    return tally


def long_life(opens: int, seed: int, seconds: float = 0.0) -> Tally:
    """Test 25: open, search and forget, again and again: file descriptors equal, memory flat."""
    tally, process = Tally(), psutil.Process()
    with scratch() as folder:
        victim.build(folder / "ix")
        # memory is level after some 5,000 opens: 16 KiB more in the 25,000 that follow
        for _ in range(max(50, opens // 4)):
            victim.answers(folder / "ix")
        gc.collect()
        files, start, resident = process.num_fds(), time.monotonic(), process.memory_info().rss
        maps = len(Path("/proc/self/maps").read_text().splitlines())
        while tally.trials < opens or time.monotonic() - start < seconds:
            victim.answers(folder / "ix")
            tally.trials += 1
        gc.collect()
        grown = process.memory_info().rss - resident
        minutes = max(1.0, (time.monotonic() - start) / 60)
        tally.outcomes[f"{grown / 1024:.0f} KiB more after {tally.trials} opens"] += tally.trials
        if process.num_fds() != files:
            tally.losses.append(f"{process.num_fds() - files} file descriptors leaked")
        if grown > max(4 << 20, 0.01 * minutes * resident):
            tally.losses.append(f"{grown} bytes leaked in {tally.trials} opens")
        more = len(Path("/proc/self/maps").read_text().splitlines()) - maps
        if more > 20:
            tally.losses.append(f"{more} mappings leaked")
    return tally


def soak(seconds: int, seed: int) -> Tally:
    """Test 25 by the clock: open, search and forget for so many seconds."""
    return long_life(1, seed, float(seconds))
