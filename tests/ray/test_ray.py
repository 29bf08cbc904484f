"""Encoding and building on Ray, on a cluster of three nodes on this machine; actors and a node are killed.

Skipped where the extra `ray` is not installed. `SPLADE_ENGINE_RAY_KILLS` says how often an actor is killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.collections.corpus import Corpus
from splade_engine.engine import SearchEngine
from splade_engine.errors import IndexExistsError, InvalidInputError
from splade_engine.index import SparseIndex
from tests.fake_encoder import WORDS, FakeEncoder
from tests.ray.conftest import REPOSITORY

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

KILLS = int(os.environ.get("SPLADE_ENGINE_RAY_KILLS", "3"))


def records(n=300):
    draw = random.Random(5)
    return [
        {"id": f"{i:03d}", "title": f"No {i}", "text": " ".join(draw.choices(WORDS[1:], k=12)), "n": i}
        for i in range(n)
    ]


def make_encoder():
    """Called in an actor."""
    import sys

    sys.path.insert(0, REPOSITORY)
    from tests.fake_encoder import FakeEncoder

    return FakeEncoder()


def make_slow_encoder():
    import sys
    import time

    sys.path.insert(0, REPOSITORY)
    from tests.fake_encoder import FakeEncoder

    class Slow(FakeEncoder):
        def encode_documents(self, texts, **options):
            time.sleep(0.6)
            return super().encode_documents(texts, **options)

    return Slow()


@pytest.fixture(scope="module")
def dataset(cluster):
    return ray.data.from_arrow(pa.Table.from_pylist(records()))


@pytest.fixture
def one(tmp_path):
    """What a single process builds."""
    return SearchEngine.build(tmp_path / "one", records(), FakeEncoder()).index


def same(index, one):
    """The same documents, whichever order they came in."""
    assert sorted(index.ids()) == sorted(one.ids()) == [r["id"] for r in records()]
    order = [one.ordinal(id) for id in index.ids()]
    assert index.vectors() == one.vectors(order)
    assert index.payload(range(len(one))) == one.payload(order)
    np.testing.assert_array_equal(index.document_frequencies(), one.document_frequencies())
    assert SparseIndex.open(index.path).ids() == index.ids()
    assert not index.path.with_name(index.path.name + ".building").exists()
    assert {p.name for p in index.path.iterdir() if p.suffix not in (".json", ".lock")} == {
        p.path.name for p in index.shards
    }


def test_a_dataset_is_encoded_and_its_columns_pass_through(dataset):
    from splade_engine.ray import Pool, encode

    encoded = encode(dataset, make_encoder, title="title", pool=Pool(actors=2), batch_size=70)
    rows = sorted(encoded.take_all(), key=lambda row: row["id"])
    expected = FakeEncoder().encode_documents([f"{r['title']} {r['text']}" for r in records()])
    assert [row["id"] for row in rows] == [r["id"] for r in records()]
    assert [row["n"] for row in rows] == list(range(300))
    for row, (terms, weights) in zip(rows, expected, strict=True):
        assert list(row["terms"]) == terms.tolist()
        assert list(row["weights"]) == weights.tolist()


def test_what_would_hang_or_lose_ids_is_refused(dataset, tmp_path):
    from splade_engine.ray import Pool, build, encode

    with pytest.raises(InvalidInputError, match=r"6 actors of 0\.5 CPUs take all of the 3"):
        encode(dataset, make_encoder, pool=Pool(actors=6))
    with pytest.raises(InvalidInputError, match="3 actors of 1 CPUs take all of the 3"):
        build(dataset, tmp_path / "c", make_encoder, pool=Pool(actors=3, cpus=1))
    with pytest.raises(InvalidInputError, match="but the cluster has 0"):
        encode(dataset, make_encoder, pool=Pool(actors=1, gpus=1))
    numbers = ray.data.from_items([{"id": 7, "text": "moon"}])
    with pytest.raises(InvalidInputError, match="column 'id' are int64, and an id is text"):
        encode(numbers, make_encoder)
    encoded = ray.data.from_items([{"id": "7", "text": "moon", "weights": [1.0]}])
    with pytest.raises(InvalidInputError, match="has a column 'weights' already"):
        encode(encoded, make_encoder)
    with pytest.raises(InvalidInputError, match="no column 'body'"):
        encode(dataset, make_encoder, text="body")
    with pytest.raises(InvalidInputError, match="shard_docs"):
        build(dataset, tmp_path / "c", make_encoder, shard_docs=0)
    for option in ({"adapt": True}, {"overwrite": True}, {"passages": 90}, {"threads": 2}):
        with pytest.raises(InvalidInputError, match=f"ray: {next(iter(option))} cannot be given here"):
            build(dataset, tmp_path / "c", make_encoder, **option)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_becomes_a_collection(dataset, one, tmp_path):
    from splade_engine.ray import Pool, build

    index = build(dataset, tmp_path / "c", make_encoder, shard_docs=80, pool=Pool(actors=2))
    assert [len(s) for s in index.shards] == [80, 80, 80, 60]
    same(index, one)
    with pytest.raises(IndexExistsError, match="holds a collection already"):
        build(dataset, tmp_path / "c", make_encoder)


def test_a_corpus_is_cut_in_its_order_and_goes_on_after_an_error(one, tmp_path, cluster):
    from splade_engine.ray import Pool, build

    corpus = Corpus(records())

    def failing():
        encoder = make_encoder()
        encode = encoder.encode_documents

        def once(texts, **options):
            if any("No 250 " in text for text in texts):
                raise InvalidInputError("a text that cannot be encoded")
            return encode(texts, **options)

        encoder.encode_documents = once
        return encoder

    with pytest.raises(InvalidInputError, match=r"^a text that cannot be encoded$"):
        build(corpus, tmp_path / "c", failing, shard_docs=100, pool=Pool(actors=1))
    first = (tmp_path / "c" / "shard-00000" / "manifest.json").stat().st_mtime_ns
    with pytest.raises(InvalidInputError, match="another corpus"):
        build(Corpus(records(299)), tmp_path / "c", make_encoder, shard_docs=100)
    with pytest.raises(InvalidInputError, match=r"another shard_docs \(100, now 90\)"):
        build(corpus, tmp_path / "c", make_encoder, shard_docs=90)
    index = build(corpus, tmp_path / "c", make_encoder, shard_docs=100, pool=Pool(actors=2))
    assert index.ids() == one.ids()
    assert (tmp_path / "c" / "shard-00000" / "manifest.json").stat().st_mtime_ns == first
    same(index, one)


def test_actors_that_are_killed_lose_and_double_nothing(dataset, one, tmp_path):
    from splade_engine.ray import Pool, build

    with killing("Builder", 1.5):
        index = build(dataset, tmp_path / "c", make_slow_encoder, shard_docs=25, pool=Pool(actors=2))
    same(index, one)


def test_a_node_that_dies_takes_nothing_along(cluster, dataset, one, tmp_path):
    from splade_engine.ray import Pool, build

    node = cluster.add_node(num_cpus=1)
    timer = threading.Timer(2.5, lambda: cluster.remove_node(node, allow_graceful=False))
    timer.start()
    try:
        index = build(dataset, tmp_path / "c", make_slow_encoder, shard_docs=25, pool=Pool(actors=4))
    finally:
        timer.join()
    same(index, one)


@contextmanager
def killing(actor, seconds):
    """Kill an actor of this kind every so many seconds while the block runs; at least one has to die."""
    done, killed = threading.Event(), []

    def kill():
        while not done.wait(seconds) and len(killed) < KILLS:
            found = subprocess.run(["pgrep", "-f", f"^ray::{actor}"], capture_output=True, text=True)
            pids = [int(pid) for pid in found.stdout.split() if _ours(int(pid))]
            if pids:
                killed.append(random.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        done.set()
        killer.join()
    assert killed


def _ours(pid: int) -> bool:
    """Whether a process belongs to the cluster of this test: others may run on the machine."""
    try:
        parts = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(part.startswith(b"PYTHONPATH=") and REPOSITORY.encode() in part for part in parts)


def test_json_is_what_a_part_keeps(tmp_path):
    """Metadata of any kind comes back as it was."""
    from splade_engine.ray.parts import PartFile, planned_parts

    given = [{"id": "a", "text": "moon", "nested": {"x": [1, None]}, "y": 2}, {"id": "b", "text": "sea"}]
    files = planned_parts(tmp_path / "w", Corpus(given), 1)
    read = [(d.id, d.text, dict(d.metadata)) for file in files for d in PartFile(file)]
    assert read == [("a", "moon", {"nested": {"x": [1, None]}, "y": 2}), ("b", "sea", {})]
    assert json.loads((tmp_path / "w" / "parts.json").read_text())["shard_docs"] == 1
    files[1].write_bytes(b"")
    with pytest.raises(InvalidInputError, match="missing or damaged"):
        planned_parts(tmp_path / "w", Corpus(given), 1)


def test_parts_are_those_of_one_process_and_an_actor_that_dies_goes_on(cluster, tmp_path):
    from splade_engine.engine.encoding import encode_corpus
    from splade_engine.ray import Pool, encode_parts

    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records()))
    with killing("PartEncoder", 1.0):
        encode_parts(lambda: Corpus(file), tmp_path / "w", make_slow_encoder, parts=5, pool=Pool(actors=2))
    joined = encode_corpus(Corpus(file), _Refuses(), tmp_path / "w")
    alone = encode_corpus(Corpus(file), FakeEncoder(), tmp_path / "alone")
    assert joined.ids() == alone.ids()
    assert joined.vectors() == alone.vectors()
    with pytest.raises(InvalidInputError, match="parts must be at least 1"):
        encode_parts(lambda: Corpus(file), tmp_path / "w", make_encoder, parts=0)


class _Refuses(FakeEncoder):
    """Everything has been encoded elsewhere."""

    def encode_documents(self, texts, **options):
        raise AssertionError("a shard is missing")
