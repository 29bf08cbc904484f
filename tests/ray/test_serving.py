"""A collection on Ray Serve: a real cluster of three nodes, whose replicas are killed while it answers.

Skipped where the extra `ray` is not installed. `SPLADE_ENGINE_RAY_KILLS` says how many replicas are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splade_engine.engine import SearchEngine
from splade_engine.errors import InvalidInputError
from splade_engine.index import ShardedIndex
from tests.fake_encoder import WORDS, FakeEncoder
from tests.ray.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
KILLS = int(os.environ.get("SPLADE_ENGINE_RAY_KILLS", "3"))


def make_encoder() -> Any:
    """Called in the router."""
    import sys

    sys.path.insert(0, REPOSITORY)
    from tests.fake_encoder import FakeEncoder

    return FakeEncoder()


def records(n: int = 200) -> list[dict[str, Any]]:
    draw = random.Random(3)
    return [{"id": f"{i:03d}", "text": " ".join(draw.choices(WORDS[1:], k=9)), "n": i} for i in range(n)]


class Served:
    """A collection and the address that answers for it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address

    def get(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data, {"content-type": "application/json"} if data else {}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def search(self, text: str, **options: Any) -> dict[str, Any]:
        return self.get("/search", {"query": text, "k": 20, **options})

    def expected(self, text: str, **options: Any) -> list[tuple[str, float]]:
        engine = SearchEngine.open(self.folder, FakeEncoder())
        return [(hit.id, hit.score) for hit in engine.search(text, 20, **options)]


def searching(count: int) -> list[int]:
    """The processes that search shards, once there are so many of them."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        pattern = "^ray::ServeReplica:served:shard-"
        found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
        pids = [int(pid) for pid in found.stdout.split()]
        if len(pids) >= count:
            return pids
        time.sleep(0.5)
    raise AssertionError(f"only {len(pids)} replicas")


def pairs(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


@pytest.fixture(scope="module")
def served(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from ray import serve

    from splade_engine.ray import Deployed, application
    from splade_engine.server import Limits, Settings

    folder = tmp_path_factory.mktemp("served")
    parts = [folder / f"shard-{number}" for number in range(4)]
    for number, part in enumerate(parts):
        SearchEngine.build(part, records()[number::4], FakeEncoder())
    ShardedIndex.collect(folder / "all", parts)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    patient = Settings(Limits(seconds=60))  # for busy machines
    how = Deployed(replicas=2, cpus=0.1, seconds=20)
    app = application(folder / "all", make_encoder, how=how, settings=patient)
    serve.run(app, name="served", route_prefix="/")
    yield Served(folder / "all", f"http://127.0.0.1:{port}")
    serve.shutdown()


def test_it_is_the_server_with_the_answers_of_one_process(served: Served) -> None:
    for text in (WORDS[3], "moon sea", " ".join(WORDS[2:6])):
        assert pairs(served.search(text)) == served.expected(text)
        assert pairs(served.search(text, where="n < 50")) == served.expected(text, where="n < 50")
        assert pairs(served.search(text, hybrid=True)) == served.expected(text, hybrid=True)
    assert served.get("/info")["documents"] == 200
    assert served.get("/documents/007")["id"] == "007"
    with pytest.raises(urllib.error.HTTPError, match="422"):
        served.search("moon", k=0)


def test_replicas_that_are_killed_cost_no_answer(served: Served) -> None:
    texts = WORDS[1:9]
    wanted = {text: served.expected(text) for text in texts}
    done, killed, wrong = threading.Event(), [], []

    def ask() -> None:
        draw = random.Random()
        while not done.is_set():
            text = draw.choice(texts)
            try:
                if pairs(served.search(text)) != wanted[text]:
                    wrong.append(text)
            except OSError as error:
                wrong.append(f"{text}: {error}")

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for one in askers:
        one.start()
    try:
        for _ in range(KILLS):
            killed.append(random.choice(searching(8)))  # so that another replica is left
            os.kill(killed[-1], signal.SIGKILL)
        time.sleep(2)
    finally:
        done.set()
        for one in askers:
            one.join()
    assert len(killed) == KILLS
    assert wrong == []


def test_a_new_generation_is_taken_up_without_a_wrong_answer(served: Served) -> None:
    writer = SearchEngine.open(served.folder, FakeEncoder())
    text = WORDS[4]
    by_generation = {writer.index.generation: served.expected(text)}
    seen = set()
    for number in range(5):
        # one shard each: of two that change together, a search may see the first one's commit alone
        for id, changed in ((f"new-{number}", f"{text} {WORDS[7]}"), ("001", f"{WORDS[9]} {number}")):
            writer.update([{"id": id, "text": changed}])
            by_generation[writer.index.generation] = served.expected(text)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answer = served.search(text)
            assert pairs(answer) == by_generation[answer["generation"]]
            seen.add(answer["generation"])
            if answer["generation"] == writer.index.generation:
                break
        assert answer["generation"] == writer.index.generation
    assert len(seen) >= 5


def test_what_cannot_be_served_is_refused(cluster: Any, served: Served, tmp_path: Path) -> None:
    from splade_engine.ray import Deployed, application
    from splade_engine.server import Access, Settings

    with pytest.raises(InvalidInputError, match="one index, not a collection"):
        application(served.folder.parent / "shard-0")
    with pytest.raises(InvalidInputError, match="no index"):
        application(tmp_path / "nothing")
    with pytest.raises(InvalidInputError, match="serves only"):
        application(served.folder, settings=Settings(access=Access(write=True)))
    with pytest.raises(InvalidInputError, match=r"4 shards with 2 replicas each and 1 routers, 0\.5 CPUs"):
        application(served.folder, how=Deployed(replicas=2, cpus=0.5))
    for wrong in (
        {"replicas": 0},
        {"routers": True},
        {"cpus": 0},
        {"cpus": "1"},
        {"seconds": None},
        {"missing": "maybe"},
    ):
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            Deployed(**wrong)  # type: ignore[arg-type]
