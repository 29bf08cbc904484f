"""A collection whose shards are searched elsewhere: the same answers, or what is missing is said."""

from __future__ import annotations

import pickle  # noqa: TID251  what Ray does with requests
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splade_engine.engine import SearchEngine
from splade_engine.errors import (
    IndexCorruptError,
    IndexNotFoundError,
    IndexVersionError,
    InvalidInputError,
    ShardUnavailableError,
    StorageError,
)
from splade_engine.index import SearchResult, ShardedIndex
from splade_engine.ray import Deployed
from splade_engine.ray.remote import KEPT, RemoteIndex, RemoteReader, Request, Routing, Shard
from tests.fake_encoder import WORDS, FakeEncoder

N_SHARDS = 4


def records(n: int = 200) -> list[dict[str, Any]]:
    draw = random.Random(3)
    made = []
    for i in range(n):
        record = {"id": f"{i:03d}", "text": " ".join(draw.choices(WORDS[1:], k=9)), "n": i}
        if i % N_SHARDS == 1:
            record["only"] = "here" if i % 3 else "there"
        made.append(record)
    return made


class Sent:
    """An answer that has come, by way of pickles as between processes."""

    def __init__(self, answer: Callable[[], SearchResult | None]) -> None:
        self._answer = answer

    def result(self, timeout_s: float | None = None) -> SearchResult | None:
        found: SearchResult | None = pickle.loads(pickle.dumps(self._answer()))
        return found


class Replicas:
    """Asks one shard after the other in turn; those in `dead` raise."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)
        self.dead: set[int] = set()
        self.asked = 0

    def __call__(self, request: Request) -> Sent:
        number = self.asked % len(self.shards)
        self.asked += 1
        request = pickle.loads(pickle.dumps(request))

        def answer() -> SearchResult | None:
            if number in self.dead:
                raise ConnectionError(f"replica {number} is dead")
            return self.shards[number].search(request)

        return Sent(answer)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    parts = [tmp_path / f"shard-{number}" for number in range(N_SHARDS)]
    for number, part in enumerate(parts):
        SearchEngine.build(part, records()[number::N_SHARDS], FakeEncoder())
    return ShardedIndex.collect(tmp_path / "all", parts).path


def routed(folder: Path, *, replicas: int = 1, **options: Any) -> tuple[SearchEngine, dict[Path, Replicas]]:
    index = ShardedIndex.open(folder)
    askers = {s.path: Replicas([Shard(s.path) for _ in range(replicas)]) for s in index.shards}
    routing = Routing(dict(askers), **options)
    return SearchEngine(folder, RemoteIndex.route(index, routing), FakeEncoder()), askers


def answer(hits: Any) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in hits]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exact": True},
        {"accuracy": 0.8},
        {"k": 1},
        {"k": 500},
        {"where": "n < 90"},
        {"where": {"only": "here"}},
        {"where": "n < 0"},
        {"group_by": "only"},
        {"offset": 7},
        {"hybrid": "rrf"},
        {"hybrid": True},
        {"must": ["moon"]},
        {"total": True, "facets": ["only"], "facets_over": "matches"},
    ],
    ids=str,
)
def test_answers_are_those_of_one_process(collection: Path, options: dict[str, Any]) -> None:
    engine, askers = routed(collection)
    local = SearchEngine.open(collection, FakeEncoder())
    for text in ("moon sea", WORDS[5], "moon moon " + WORDS[9], "nothing known"):
        here, there = local.search(text, **options), engine.search(text, **options)
        assert answer(there) == answer(here)
        assert [hit.text for hit in there] == [hit.text for hit in here]
        assert (there.total, there.facets, there.notes) == (here.total, here.facets, here.notes)
    assert all(one.asked for one in askers.values())


def test_many_queries_are_one_request_to_each_shard(collection: Path) -> None:
    engine, askers = routed(collection)
    local = SearchEngine.open(collection, FakeEncoder())
    texts = WORDS[1:20]
    assert [answer(hits) for hits in engine.search_many(texts, 7)] == [
        answer(hits) for hits in local.search_many(texts, 7)
    ]
    assert [one.asked for one in askers.values()] == [1] * N_SHARDS


def test_a_column_that_one_shard_alone_has_is_known_to_all_and_another_is_refused(collection: Path) -> None:
    engine, _ = routed(collection)
    assert {hit.metadata["only"] for hit in engine.search(WORDS[3], 50, where="only = 'there'")} == {"there"}
    with pytest.raises(InvalidInputError, match="no column 'other'"):
        engine.search(WORDS[3], where="other = 1")


def test_a_replica_that_dies_is_no_loss(collection: Path) -> None:
    engine, askers = routed(collection, replicas=2)
    local = SearchEngine.open(collection, FakeEncoder())
    for one in askers.values():
        one.dead = {0}
    for text in WORDS[1:9]:
        assert answer(engine.search(text)) == answer(local.search(text))


def test_a_shard_that_does_not_answer_is_an_error_that_names_it(collection: Path) -> None:
    engine, askers = routed(collection, retries=1)
    dead = list(askers.values())[2]
    dead.dead = {0}
    with pytest.raises(
        ShardUnavailableError, match=r"^shard-2: the shard does not answer; .*replica 0 is dead"
    ):
        engine.search("moon")
    assert dead.asked == 2


def of_another_shape(found: SearchResult) -> SearchResult:
    """Fewer hits than were asked for would be merged as if there were no more."""
    return replace(found, ordinals=found.ordinals[:, :-1], scores=found.scores[:, :-1])


def of_another_index(found: SearchResult) -> SearchResult:
    return replace(found, ordinals=found.ordinals + 10_000, names=lambda ordinals: ["?"] * len(ordinals))


def without_a_number(found: SearchResult) -> SearchResult:
    return replace(found, scores=np.full_like(found.scores, np.nan))


def of_fewer_queries(found: SearchResult) -> SearchResult:
    return replace(found, ordinals=found.ordinals[:0], scores=found.scores[:0])


@pytest.mark.parametrize(
    "wrong", [of_another_shape, of_another_index, without_a_number, of_fewer_queries, lambda _: "an answer"]
)
def test_an_answer_that_is_none_to_the_request_is_not_merged(collection: Path, wrong: Any) -> None:
    engine, askers = routed(collection, replicas=2)
    one = list(askers.values())[1]
    one.shards[0].search = lambda request: wrong(Shard.search(one.shards[0], request))  # type: ignore[method-assign]
    local = SearchEngine.open(collection, FakeEncoder())
    for text in WORDS[1:4]:
        assert answer(engine.search(text)) == answer(local.search(text))
    assert one.asked > 3  # the other replica too
    one.shards = one.shards[:1]
    with pytest.raises(ShardUnavailableError, match=r"^shard-1: the shard does not answer; try again"):
        engine.search("moon")


@pytest.mark.parametrize("error", [IndexCorruptError, IndexVersionError, StorageError, IndexNotFoundError])
def test_a_replica_that_cannot_read_its_index_is_like_one_that_is_dead(collection: Path, error: Any) -> None:
    engine, askers = routed(collection, missing="tell")
    one = list(askers.values())[1]

    def fails(request: Request) -> SearchResult | None:
        raise error("shard-1: another node cannot read it")

    one.shards[0].search = fails  # type: ignore[method-assign]
    told = engine.search("moon").notes
    assert told == ("incomplete: without the documents of shard-1, which did not answer",)


def test_requests_that_cannot_be_sent_count_as_not_answered(collection: Path) -> None:
    engine, askers = routed(collection, retries=1)
    first = next(iter(askers))

    def refuses(request: Request) -> Sent:
        raise ConnectionError("no replica is known")

    engine.index.reader._routing.askers[first] = refuses  # type: ignore[attr-defined]
    with pytest.raises(
        ShardUnavailableError, match=r"shard-0: the shard does not answer; .*no replica is known"
    ):
        engine.search("moon")


def test_shards_that_hang_are_waited_for_together(collection: Path) -> None:
    """Three of four: what was waited for one after the other took longer than a server gives a request."""
    waited = []

    class Hanging:
        def result(self, timeout_s: float | None = None) -> SearchResult | None:
            waited.append(timeout_s)
            time.sleep(timeout_s or 60)
            raise TimeoutError("no answer has come")

    engine, askers = routed(collection, missing="tell", seconds=0.4)
    hanging = list(askers)[1:]
    engine.index.reader._routing.askers.update(  # type: ignore[attr-defined]
        {path: lambda request: Hanging() for path in hanging}
    )
    hits = engine.search("moon", 50)
    assert len(waited) == 9
    assert sum(waited) < 0.4 + 2 * 0.2 + 9 * 0.02
    assert {int(hit.id) % N_SHARDS for hit in hits} == {0}
    named = ", ".join(path.name for path in hanging)
    assert hits.notes == (f"incomplete: without the documents of {named}, which did not answer",)


@pytest.mark.parametrize("options", [{}, {"offset": 0}, {"hybrid": True}], ids=str)
def test_or_the_hits_of_the_others_say_that_it_is_missing(collection: Path, options: dict[str, Any]) -> None:
    engine, askers = routed(collection, missing="tell")
    whole = {hit.id for hit in engine.search(WORDS[4], 300, hybrid=False)}
    list(askers.values())[2].dead = {0}
    hits = engine.search(WORDS[4], 300, **options)
    assert hits.notes == ("incomplete: without the documents of shard-2, which did not answer",)
    if not options.get("hybrid"):
        lacking = {record["id"] for record in records()[2::N_SHARDS]}
        assert {hit.id for hit in hits} == whole - lacking
        assert not engine.index.search(engine.encode_queries([WORDS[4]])).exact
    list(askers.values())[2].dead = set()
    assert engine.search(WORDS[4], **options).notes == ()


def test_every_answer_is_of_the_generation_that_the_router_has_open(collection: Path) -> None:
    engine, _ = routed(collection)
    before = {text: answer(engine.search(text, 20)) for text in WORDS[1:6]}
    writer = SearchEngine.open(collection, FakeEncoder())
    for number in range(KEPT + 1):
        writer.update([{"id": f"{number:03d}", "text": " ".join(WORDS[1:6])}])
        moved = SearchEngine.open(collection, FakeEncoder())
        fresh, _ = routed(collection)
        for text in WORDS[1:6]:
            # some replica knows the new one, another began after it, and the old one is still what is asked
            assert answer(engine.search(text, 20)) == before[text]
            assert answer(fresh.search(text, 20)) == answer(moved.search(text, 20))
    later = {s.path: Replicas([Shard(s.path)]) for s in ShardedIndex.open(collection).shards}
    reader = engine.index.reader
    assert isinstance(reader, RemoteReader)
    reader._routing.askers.update(later)  # type: ignore[attr-defined]
    assert {text: answer(engine.search(text, 20)) for text in before} == before
    engine.index.refresh()
    assert isinstance(engine.index.reader, RemoteReader)
    assert {text: answer(engine.search(text, 20)) for text in before} == {
        text: answer(moved.search(text, 20)) for text in before
    }


def test_a_shard_of_no_asker_is_searched_by_the_router(collection: Path) -> None:
    engine, askers = routed(collection)
    first = next(iter(askers))
    engine.index.reader._routing.askers.pop(first)  # type: ignore[attr-defined]
    local = SearchEngine.open(collection, FakeEncoder())
    assert answer(engine.search("moon")) == answer(local.search("moon"))
    assert askers[first].asked == 0


def test_what_is_wrong_with_a_request_is_not_tried_again(collection: Path) -> None:
    engine, askers = routed(collection, missing="tell")
    with pytest.raises(InvalidInputError, match="k must be at least 1"):
        engine.search("moon", 0)
    assert all(one.asked == 0 for one in askers.values())
    with pytest.raises(InvalidInputError, match="missing must be one of error, tell"):
        Routing({}, missing="maybe")  # type: ignore[arg-type]


def test_processes_share_what_processors_there_are() -> None:
    assert Deployed().share(shards=4, held=16) == 0.5
    assert Deployed(replicas=2).share(shards=4, held=2) == 0.222
    assert Deployed(cpus=0.25).share(shards=4, held=2) == 0.25
    with pytest.raises(InvalidInputError, match=r"4 shards .* 0\.5 CPUs .* more than the 2"):
        Deployed(cpus=0.5).share(shards=4, held=2)


def test_a_result_without_shards_is_empty() -> None:
    from splade_engine.index.search import best_of

    ordinals, scores = best_of([], 2, 3)
    np.testing.assert_array_equal(ordinals, np.full((2, 3), -1))
    assert np.isneginf(scores).all()
