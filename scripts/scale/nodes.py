"""A Ray cluster of several nodes on this machine, and `Reaper`, which kills its processes and its nodes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

Result = TypeVar("Result")
REPOSITORY = str(Path(__file__).resolve().parents[2])
_STORE = 400 << 20  # bytes of the object store of a node
_STUCK = 300.0  # seconds without anything finished, after which the next kill comes anyway
_NODE_SHARE = 0.1  # of the kills
# for a busy machine: Ray Serve takes a proxy that starts slowly for dead (seconds), and workers, which Ray
# starts at a niceness of 15, get no processor
_PATIENT = {
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "120",
    "RAY_worker_niceness": "0",
}


class Nodes:
    """A head and so many other nodes, as long as the context lasts; Ray is connected to them.

    Attributes:
        seconds: that starting and connecting took.
    """

    def __init__(self, others: int, cpus: int = 1) -> None:
        self._others, self._cpus = others, cpus

    def __enter__(self) -> Self:
        import ray
        from ray.cluster_utils import Cluster

        paths = filter(None, [REPOSITORY, os.environ.get("PYTHONPATH")])
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        for name, value in _PATIENT.items():
            os.environ.setdefault(name, value)
        began = time.perf_counter()
        node = {"num_cpus": self._cpus, "object_store_memory": _STORE}
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**node, "include_dashboard": False}, shutdown_at_exit=True
        )
        self._made = [self._cluster.add_node(**node) for _ in range(self._others)]
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level="ERROR")
        self.seconds = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    def lose_one(self, draw: random.Random) -> None:
        """Kill a node with all that runs on it; another one takes its place."""
        node = self._made.pop(draw.randrange(len(self._made)))
        self._cluster.remove_node(node, allow_graceful=False)
        self._made.append(self._cluster.add_node(num_cpus=self._cpus, object_store_memory=_STORE))


class Reaper:
    """Kills at random moments while something is done: one in ten a node, the others a process at work.

    Between two kills something is finished, or five minutes pass: on a busy machine, what is killed while it
    starts would never get further.

    Attributes:
        killed: how many of each kind.
    """

    def __init__(
        self, nodes: Nodes, kinds: Sequence[str], most: int, seconds: tuple[float, float], seed: int
    ) -> None:
        """Kill nothing yet.

        Args:
            nodes: where.
            kinds: how titles of processes that are killed begin, without "ray::"; all are as likely.
            most: no more than so many kills.
            seconds: the least and the most between two kills.
            seed: of what is drawn.
        """
        self._nodes, self._kinds, self._most, self._seconds = nodes, kinds, most, seconds
        self._draw = random.Random(seed)
        self.killed: Counter[str] = Counter()

    @property
    def done(self) -> bool:
        """Whether there have been as many kills as there may be."""
        return self.killed.total() >= self._most

    def during(self, work: Callable[[], Result], finished: Callable[[], object] = time.monotonic) -> Result:
        """The result of a call in a thread; the killing is done in this one: only it may start a node.

        Args:
            work: the call.
            finished: another value whenever something has been finished.
        """
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            while not self.done and not working.done():
                before, until = finished(), time.monotonic() + _STUCK
                wait([working], self._draw.uniform(*self._seconds))
                while finished() == before and time.monotonic() < until and not working.done():
                    time.sleep(0.2)
                if not working.done():
                    self._kill()
            return working.result()

    def _kill(self) -> None:
        if self._draw.random() < _NODE_SHARE:
            self._nodes.lose_one(self._draw)
            self.killed["node"] += 1
        else:
            self._kill_one()

    def _kill_one(self) -> None:
        there = list(workers())
        kinds = [kind for kind in self._kinds if any(title.startswith(kind) for _, title in there)]
        if kinds:
            kind = self._draw.choice(kinds)
            pid = self._draw.choice([pid for pid, title in there if title.startswith(kind)])
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[kind] += 1


def workers() -> Iterator[tuple[int, str]]:
    """Number and title (without "ray::") of each Ray process that descends from this one."""
    for pid in _descendants(os.getpid()):
        with suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 1)[0].decode(errors="replace")
            if title.startswith("ray::"):
                yield pid, title.removeprefix("ray::")


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
