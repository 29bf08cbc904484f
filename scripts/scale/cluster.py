"""Real shards to compare with: a `splade-engine serve` process per index folder, and who asks them."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError

K = 10
_START = 120  # seconds that a server may take


class Cluster:
    """Servers of these indexes, one process each, as long as the context lasts.

    Attributes:
        queries: titles, or the first words, of documents of the first index.
    """

    def __init__(self, indexes: Sequence[Path]) -> None:
        engine = SearchEngine.open(indexes[0], verify="offsets")
        rows = engine.index.payload(range(0, len(engine.index), max(1, len(engine.index) // 500)))
        texts = [row.get("title") or " ".join(str(row.get("text") or "").split()[:6]) for row in rows]
        self.queries = [text for text in texts if text]
        if not self.queries:
            raise InvalidInputError(f"{indexes[0]}: no texts to ask for")
        self._indexes = list(indexes)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports: list[int] = []
        self._local = threading.local()

    def __enter__(self) -> Self:
        for index in self._indexes:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = int(free.getsockname()[1])
            command = [sys.executable, "-m", "splade_engine", "serve", str(index), "--port", str(port)]
            self._processes.append(subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.DEVNULL))
            self._ports.append(port)
        for number in range(len(self._indexes)):
            self._wait(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    def __len__(self) -> int:
        return len(self._indexes)

    def ask(self, shard: int, query: str) -> dict[str, Any]:
        """The answer of a shard, over a connection that is kept; a server closes one that is long idle."""
        if not hasattr(self._local, "held"):
            self._local.held = {}
        held: dict[int, http.client.HTTPConnection] = self._local.held
        body = json.dumps({"query": query, "k": K})
        for fresh in (False, True):
            if fresh or shard not in held:
                held[shard] = http.client.HTTPConnection("127.0.0.1", self._ports[shard], timeout=60)
            try:
                held[shard].request("POST", "/search", body, {"content-type": "application/json"})
                answer: dict[str, Any] = json.loads(held[shard].getresponse().read())
            except OSError:
                if fresh:
                    raise
                continue
            return answer
        raise AssertionError

    def _wait(self, number: int) -> None:
        until = time.monotonic() + _START
        while time.monotonic() < until:
            if self._processes[number].poll() is not None:
                raise InvalidInputError(f"{self._indexes[number]}: its server has ended")
            try:
                self.ask(number, self.queries[0])
            except OSError:
                self._local.held.pop(number, None)
                time.sleep(0.2)
                continue
            return
        raise InvalidInputError(f"{self._indexes[number]}: its server does not answer")


def asked_one(cluster: Cluster, requests: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds of requests to single shards in turn, one after the other; and of the search within."""
    times, searches = np.empty(requests), np.empty(requests)
    for i in range(requests):
        query = cluster.queries[i % len(cluster.queries)]
        started = time.perf_counter()
        answer = cluster.ask(i % len(cluster), query)
        times[i] = (time.perf_counter() - started) * 1000
        searches[i] = answer["took_us"] / 1000
    return times, searches


def asked_all(cluster: Cluster, requests: int, rate: float, seed: int = 1) -> NDArray[np.float64]:
    """Milliseconds from each query to the last answer of all shards, which are asked at the same time.

    Queries come at random moments, `rate` of them per second.
    """
    gaps = np.random.default_rng(seed).exponential(1 / rate, requests)
    times = np.empty(requests)
    with ThreadPoolExecutor(4 * len(cluster)) as pool:
        list(pool.map(lambda n: cluster.ask(n % len(cluster), cluster.queries[0]), range(8 * len(cluster))))
        for i in range(requests):
            time.sleep(float(gaps[i]))
            query = cluster.queries[i % len(cluster.queries)]
            started = time.perf_counter()
            sent = [pool.submit(cluster.ask, shard, query) for shard in range(len(cluster))]
            for one in sent:
                one.result()
            times[i] = (time.perf_counter() - started) * 1000
    return times
