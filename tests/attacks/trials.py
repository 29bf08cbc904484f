"""Running trials that may kill the process: in forked children, seed by seed, with a tally of outcomes.

A trial is a function of a seed that returns a short outcome ("refused", "same answers", ...) or raises. To
raise, or to die by a signal, is a loss: it is reported with its seed, and the trial on that seed repeats it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MEMORY_LIMIT = 2 << 30  # bytes that a child may allocate beside what it inherits
CORPUS = Path(__file__).parent / "corpus"

Trial = Callable[[int], str]


@dataclass
class Tally:
    """What a series of trials came to."""

    trials: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.trials += other.trials
        self.outcomes += other.outcomes
        self.losses += other.losses

    def checked(self) -> Tally:
        """This tally, or the first loss as a failed assertion."""
        assert not self.losses, self.losses[0]
        return self


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder, in memory where there is one."""
    with tempfile.TemporaryDirectory(prefix="splade-engine-trial-", dir=MEMORY) as folder:
        yield Path(folder)


def forked(
    prepare: Callable[[], Trial],
    seeds: Iterable[int],
    *,
    workers: int = 2,
    batch: int = 500,
    patience: float = 20.0,
    lost: Callable[[int], None] | None = None,
) -> Tally:
    """Run a trial on every seed in forked children.

    Args:
        prepare: makes the trial, once in each child.
        seeds: of the trials.
        workers: children at a time.
        batch: seeds that one child gets.
        patience: seconds for one trial; then it counts as killed by SIGALRM.
        lost: called with the seed of every loss, to keep its files in the corpus, which later runs replay.
    """
    every = list(seeds)
    waiting = [every[i : i + batch] for i in range(0, len(every), batch)]
    total, running = Tally(), {}
    while waiting or running:
        while waiting and len(running) < workers:
            part = waiting.pop()
            pid, pipe = _start(prepare, part, patience)
            running[pid] = (pipe, part)
        pid = next(iter(running))
        pipe, part = running.pop(pid)
        tally, rest = _collect(pid, pipe, part)
        total.add(tally)
        if rest:
            waiting.append(rest)
    if lost is not None:
        for loss in total.losses:
            if (seed := loss.split()[1].rstrip(":")).isdigit():
                lost(int(seed))
    return total


def _start(prepare: Callable[[], Trial], seeds: list[int], patience: float) -> tuple[int, int]:
    read, write = os.pipe()
    gc.freeze()  # the child must not finalise what belongs to the parent
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    os.close(read)
    try:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        # a trial that asks for more gets MemoryError, which is a loss: no file may make a reader allocate at
        # will
        limit = _inherited() + MEMORY_LIMIT
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        trial = prepare()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for seed in seeds:
            signal.setitimer(signal.ITIMER_REAL, patience)
            try:
                line = f"{seed} = {trial(seed)}"
            except BaseException as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                line = f"{seed} ! {type(error).__name__}: {error} ({where})".replace("\n", " ")
            os.write(write, line.encode() + b"\n")
    except BaseException as error:
        os.write(write, f"-1 ! {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(0)


def _inherited() -> int:
    """Bytes that RLIMIT_DATA counts already: a parent that has run a thousand tests is large."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) << 10


def _collect(pid: int, pipe: int, seeds: list[int]) -> tuple[Tally, list[int]]:
    with os.fdopen(pipe, "rb") as stream:
        lines = [line.decode().rstrip("\n").split(" ", 2) for line in stream]
    _, status = os.waitpid(pid, 0)
    tally = Tally(trials=len(lines))
    for seed, kind, text in lines:
        tally.outcomes["LOST" if kind == "!" else text] += 1
        if kind == "!":
            tally.losses.append(f"seed {seed}: {text}")
    rest = seeds[len(lines) :]
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        tally.trials += 1
        tally.outcomes[name] += 1
        tally.losses.append(f"seed {rest[0] if rest else '?'}: killed by {name}")
        return tally, rest[1:]
    return tally, [] if len(lines) >= len(seeds) or (lines and lines[-1][0] == "-1") else rest
