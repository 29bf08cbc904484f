"""Changes: the index changes in five ways while clients ask, and every answer is checked."""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from server_bench.server import K, Server, send
from splade_engine.engine import SearchEngine
from splade_engine.progress import ProgressBar

Answers = dict[str, list[tuple[str, float]]]
CLIENTS = 3
COMPACTED = 50  # one change in so many rewrites the whole index


def changes(
    options: argparse.Namespace, engine: SearchEngine, queries: Sequence[str], work: Path
) -> dict[str, Any]:
    """The index changes in five ways while clients ask; every answer is checked."""
    folder = work / "index"
    copied(options.index, folder)
    asked = list(queries[:20])
    expected: dict[int, Answers] = {}
    seen: list[tuple[int, str, list[tuple[str, float]]]] = []
    statuses: list[int] = []
    stop = threading.Event()

    def note() -> None:
        current = SearchEngine.open(folder, engine.encoder, verify="offsets")
        found = {q: [(hit.id, hit.score) for hit in current.search(q, K)] for q in asked}
        expected[current.index.generation] = found

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(server.address, timeout=60)
        at = first
        while not stop.is_set():
            at += 1
            query = asked[at % len(asked)]
            status, answer = send(connection, "POST", "/search", {"query": query, "k": K, "fields": []})
            statuses.append(status)
            if status == 200:
                hits = [(hit["id"], hit["score"]) for hit in answer["hits"]]
                seen.append((answer["generation"], query, hits))

    note()
    with Server(folder, work / "changes.log", "--write") as server:
        change(0, server, folder, engine, asked)  # loads what encodes documents
        note()
        memory = server.measured("process_resident_memory_bytes")
        clients = [threading.Thread(target=ask, args=(n,)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        lost = 0
        turns = range(1, options.changes + 1)
        with ProgressBar(None, options.changes, label="changes", unit=" changes") as bar:
            for turn in bar.over(turns):
                lost += change(turn, server, folder, engine, asked)
                note()
        time.sleep(1.5)  # the last generation is asked too
        stop.set()
        for client in clients:
            client.join()
        grown = server.measured("process_resident_memory_bytes") - memory
        again = restart(server)
    wrong = sum(expected[generation][query] != hits for generation, query, hits in seen)
    result = {
        "changes": options.changes,
        "answers": len(seen),
        "generations": len({generation for generation, _, _ in seen}),
        "wrong": wrong,
        "lost": lost,
        "failed": sum(status != 200 for status in statuses),
        "server_errors": sum(status >= 500 for status in statuses),
        "memory_mb": memory / 1e6,
        "grown_mb": grown / 1e6,
        "restart_seconds": again,
    }
    print(
        f"{options.changes} changes: {len(seen)} answers of {result['generations']} generations, "
        f"{wrong} wrong, {lost} writes lost, "
        f"{result['failed']} requests failed ({result['server_errors']} 5xx)"
    )
    print(
        f"memory {memory / 1e6:.0f} MB, {grown / 1e6:+.0f} MB after; killed and ready again in {again:.2f} s"
    )
    return result


def copied(index: Path, to: Path) -> None:
    """An index once more; its large files, which never change, are shared where they can be."""

    def copy(source: str, target: str) -> None:
        if Path(source).stat().st_size > 1 << 16:
            with suppress(OSError):
                os.link(source, target)
                return
        shutil.copy2(source, target)

    shutil.copytree(index, to, copy_function=copy)


def change(turn: int, server: Server, folder: Path, engine: SearchEngine, asked: Sequence[str]) -> int:
    """One change of one of five kinds. Returns 1 if a write that was acknowledged cannot be read."""
    text = f"{asked[turn % len(asked)]} {turn}"
    connection = http.client.HTTPConnection(server.address, timeout=600)
    kind = turn % 5
    if kind == 0:
        body = {"documents": [{"id": f"put-{turn}", "text": text}]}
        status, _ = send(connection, "PUT", "/documents", body)
        found, _ = send(connection, "GET", f"/documents/put-{turn}")
        return int((status, found) != (200, 200))
    if kind == 1:
        status, _ = send(connection, "DELETE", f"/documents/put-{turn - 1}")
        found, _ = send(connection, "GET", f"/documents/put-{turn - 1}")
        return int((status, found) != (200, 404))  # `turn - 1` put it
    place = folder
    if kind == 4:  # a rebuild elsewhere that takes the place of the folder
        place = folder.with_name("next")
        copied(folder, place)
    outside = SearchEngine.open(place, engine.encoder, verify="offsets")
    if turn % COMPACTED == 3:
        outside.compact()
    else:
        outside.update([{"id": "outside", "text": text}])
    if kind == 4:
        folder.rename(folder.with_name("old"))
        place.rename(folder)
        shutil.rmtree(folder.with_name("old"))
    generation = outside.index.generation
    deadline = time.monotonic() + 30
    while send(connection, "GET", "/info")[1]["generation"] < generation:
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.02)
    return 0


def restart(server: Server) -> float:
    """Seconds from kill -9 and a new start to the first answer."""
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    began = time.perf_counter()
    server.start()
    connection = http.client.HTTPConnection(server.address, timeout=60)
    status, _ = send(connection, "POST", "/search", {"query": "again", "k": K})
    if status != 200:
        sys.exit(f"after a restart the server answers {status}")
    return time.perf_counter() - began
