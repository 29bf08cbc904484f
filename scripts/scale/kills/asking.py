"""`asked`: clients ask a deployed collection while it changes and its processes are killed."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.scale.kills.outcome import Outcome
from scripts.scale.nodes import Reaper
from scripts.scale.words import WordEncoder
from splade_engine.engine import SearchEngine

K = 20
_CLIENTS = 3
_QUERIES = 40
_PATIENCE = 300  # seconds until a query counts as unanswered
_ANSWERS = 10  # at least so many between two kills


class _Client(threading.Thread):
    """Asks one query after the other; one that fails is asked again."""

    def __init__(self, port: int, queries: Sequence[str], stop: threading.Event, seed: int) -> None:
        super().__init__(name=f"client {seed}")
        self._port, self._queries, self._stopped = port, queries, stop
        self._draw = random.Random(seed)
        self.seen: list[tuple[int, str, list[tuple[str, float]]]] = []
        self.again, self.unanswered = 0, 0

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            query = self._draw.choice(self._queries)
            until = time.monotonic() + _PATIENCE
            while (answer := self._answer(query)) is None and time.monotonic() < until:
                self.again += 1
                time.sleep(0.2)
            if answer is None:
                self.unanswered += 1
            else:
                hits = [(hit["id"], hit["score"]) for hit in answer["hits"]]
                self.seen.append((answer["generation"], query, hits))

    def _answer(self, query: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            body = json.dumps({"query": query, "k": K, "fields": []})
            connection.request("POST", "/search", body, {"content-type": "application/json"})
            response = connection.getresponse()
            read = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if response.status != 200:
            return None
        found: dict[str, Any] = json.loads(read)
        return found


def asked(folder: Path, port: int, reaper: Reaper) -> Outcome:
    """Ask until all kills are done, and some seconds after; a document changes every ten seconds meanwhile.

    Args:
        folder: of the collection, which is written to.
        port: of its server.
        reaper: kills its processes.
    """
    writer = SearchEngine.open(folder, WordEncoder())
    step = max(1, len(writer) // _QUERIES)
    rows = writer.index.payload(range(0, len(writer), step))
    queries = [f"{row['title']} {' '.join(row['text'].split()[:4])}" for row in rows]
    expected: dict[int, dict[str, list[tuple[str, float]]]] = {}

    def note() -> None:
        found = writer.search_many(queries, K)
        hits = ([(hit.id, hit.score) for hit in one] for one in found)
        expected[writer.index.generation] = dict(zip(queries, hits, strict=True))

    def change() -> None:
        while not reaper.done:
            time.sleep(10)
            number = len(expected)
            writer.update([{"id": f"new-{number % 5}", "text": f"{queries[number % len(queries)]} again"}])
            note()

    note()
    stop = threading.Event()
    clients = [_Client(port, queries, stop, seed) for seed in range(_CLIENTS)]
    for client in clients:
        client.start()
    try:
        reaper.during(change, lambda: sum(len(client.seen) for client in clients) // _ANSWERS)
        time.sleep(15)  # what was killed last comes back, and the last generation is asked
    finally:
        stop.set()
        for client in clients:
            client.join()
    seen = [answer for client in clients for answer in client.seen]
    return Outcome(
        compared=len(seen),
        lost=sum(client.unanswered for client in clients),
        wrong=sum(expected.get(generation, {}).get(query) != hits for generation, query, hits in seen),
        again=sum(client.again for client in clients),
        generations=len({generation for generation, _, _ in seen}),
    )
