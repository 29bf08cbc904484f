"""Adding and updating text.

Nothing that was reported as added is lost, nothing stale is found, and what the index would refuse is refused
before anything is encoded.
"""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from splade_engine import SearchEngine
from splade_engine.collections import Document
from splade_engine.collections.documents import MAX_ID_BYTES
from splade_engine.engine import changes as changes_module
from splade_engine.errors import (
    DatasetError,
    EncoderMismatchError,
    IndexLockedError,
    InvalidInputError,
    StorageError,
)
from splade_engine.index import SparseIndex
from splade_engine.index.disk import ids as index_ids
from splade_engine.index.disk.publish import LOCK, IndexWriter
from tests.fake_encoder import FakeEncoder

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from splade_engine import SearchEngine
from splade_engine.errors import IndexLockedError
from tests.fake_encoder import FakeEncoder
path, who = sys.argv[1:]
engine = SearchEngine.open(path, FakeEncoder())
print("ready", flush=True)
sys.stdin.readline()
for i in range(12):
    engine.add([{"id": f"{who}{i}-{j}", "text": "moon and sea " + "tide " * j} for j in range(1 + i % 3)])
print("done", flush=True)
"""


@pytest.fixture
def engine(tmp_path):
    return SearchEngine.build(tmp_path / "ix", [Document("a", "moon", "", {"year": 1999})], FakeEncoder())


def ids(hits):
    return sorted(hit.id for hit in hits)


def folders(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir() if p.is_dir())


# ---- two writers ----------------------------------------------------------------------------------------


def test_what_three_processes_add_at_the_same_time_is_all_there(engine, tmp_path):
    engine.add([Document("b", "sea")])  # its kernels are compiled here, not by the first of the three
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(engine.path), who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for who in "ABC"
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=120)
        assert out == "done\n"
        assert worker.returncode == 0
    expected = {f"{who}{i}-{j}" for who in "ABC" for i in range(12) for j in range(1 + i % 3)}
    found = SearchEngine.open(engine.path, FakeEncoder())
    assert set(found.index.ids()) == expected | {"a", "b"}
    assert len(found) == len(expected) + 2
    assert folders(tmp_path) == ["ix"]


def test_a_second_add_does_not_touch_the_shards_of_a_first_one_that_waits(engine, tmp_path):
    """This lost documents: encoded, work folder unlocked, read after another had begun anew in it."""
    other = SearchEngine.open(engine.path, FakeEncoder())
    with IndexWriter(engine.path):
        first = threading.Thread(target=other.add, args=([Document("first", "sea")],))
        first.start()
        while not list(tmp_path.glob("ix.encoding-*/shard-*.json")):
            assert first.is_alive()
        second = threading.Thread(target=engine.add, args=([Document("second", "sea")],))
        second.start()
        while len(list(tmp_path.glob("ix.encoding-*/shard-*.json"))) < 2:
            assert second.is_alive()
    first.join(60)
    second.join(60)
    assert set(SearchEngine.open(engine.path, FakeEncoder()).index.ids()) == {"a", "first", "second"}


class Clock:
    """Time of which every wait takes 50 s, in which something is done."""

    def __init__(self, done):
        self.now, self.done = 0.0, done

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += 50.0
        self.done(int(self.now) // 50)


@pytest.mark.parametrize("sign", ["a file in the index", "a kernel", "another process"])
def test_a_change_waits_as_long_as_others_get_on(engine, tmp_path, monkeypatch, sign):
    """One that came last was refused after a minute, though the others wrote all the time."""
    monkeypatch.setattr(changes_module, "cache_folder", lambda: tmp_path)
    writer = IndexWriter(engine.path)

    def get_on(turn):
        if turn == 9:
            writer.__exit__(None, None, None)
        elif sign == "another process":
            (engine.path / LOCK).write_text(f"{turn}\n")
        else:
            ((engine.path if sign == "a file in the index" else tmp_path) / f"made-{turn}").touch()

    clock = Clock(get_on)
    monkeypatch.setattr(changes_module, "time", clock)
    writer.__enter__()
    engine.add([Document("late", "sea")])
    assert clock.now == 450.0
    assert "late" in set(SearchEngine.open(engine.path, FakeEncoder()).index.ids())


def test_a_change_that_waited_in_vain_keeps_what_it_encoded(engine, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(changes_module, "PATIENCE", 0.1)
    monkeypatch.setattr(changes_module, "SILENT", 0.02)
    caplog.set_level("INFO")
    with IndexWriter(engine.path), pytest.raises(IndexLockedError, match="kept for the same call"):
        engine.add([Document("b", "sea")])
    assert [m for m in caplog.messages if m.endswith("try again when it is done; waiting for it")]
    (left,) = tmp_path.glob("ix.encoding-*")
    assert caplog.messages[-1].startswith(f"{left} keeps what was encoded: the same call goes on from there")
    (left / "lock").write_text("999999999\n")  # as if its process had ended
    engine.add([Document("c", "sea")])
    assert caplog.messages[-1] == f"{left}: an add that was not finished; the same add goes on there"
    again = FakeEncoder()
    SearchEngine.open(engine.path, again).add([Document("b", "sea")])
    assert again.encoded == 0
    assert folders(tmp_path) == ["ix"]


def test_an_interrupted_add_goes_on_although_another_came_between(engine, tmp_path):
    many = [Document(f"m{i}", "sea and wind") for i in range(600)]
    stopped = FakeEncoder(fail_after=300)
    with pytest.raises(KeyboardInterrupt):
        SearchEngine.open(engine.path, stopped).add(many)
    engine.add([Document("between", "bread")])
    rest = FakeEncoder()
    SearchEngine.open(engine.path, rest).add(many)
    assert rest.encoded == 600 - 256  # one shard was finished
    assert len(SearchEngine.open(engine.path, FakeEncoder())) == 602
    assert folders(tmp_path) == ["ix"]


def test_every_change_of_an_engine_waits_its_turn(engine, tmp_path):
    """Deleting from several threads of one engine was refused at once."""
    engine.add([Document(f"d{i}", "sea") for i in range(40)])
    (tmp_path / "notes").mkdir()
    for name in ("kept", "note"):
        (tmp_path / "notes" / f"{name}.md").write_text("ferry")
    engine.sync(tmp_path / "notes")
    (tmp_path / "notes" / "note.md").unlink()
    failed = []

    def call(change):
        try:
            change()
        except Exception as error:
            failed.append(error)

    changes = [lambda i=i: engine.delete([f"d{i}", f"d{i + 20}"]) for i in range(20)]
    changes += [engine.compact, lambda: engine.sync(tmp_path / "notes", prune=True)]
    with IndexWriter(engine.path):
        threads = [threading.Thread(target=call, args=(change,)) for change in changes]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert SparseIndex.open(engine.path).ids() == ["a", "kept.md"]


def test_a_deletion_that_waited_in_vain_says_whom_for(engine, monkeypatch):
    monkeypatch.setattr(changes_module, "PATIENCE", 0.1)
    with IndexWriter(engine.path), pytest.raises(IndexLockedError, match=r"try again when it is done$"):
        engine.delete(["a"])
    assert "a" in SparseIndex.open(engine.path)


def test_what_was_encoded_goes_into_the_index_that_took_the_place_of_the_one_that_was_open(
    engine, tmp_path, monkeypatch
):
    """As a nightly build does it: `mv ix old; mv new ix`, in the midst of an add."""
    SearchEngine.build(tmp_path / "new", [Document("n", "ship")], FakeEncoder())
    whole = IndexWriter.add_file

    def add_file(self, *args):
        monkeypatch.undo()
        engine.path.rename(tmp_path / "old")
        (tmp_path / "new").rename(engine.path)
        return whole(self, *args)

    monkeypatch.setattr(IndexWriter, "add_file", add_file)
    engine.add([Document("b", "sea")])
    assert SparseIndex.open(engine.path).ids() == ["n", "b"]
    assert SparseIndex.open(tmp_path / "old").ids() == ["a"]
    assert ids(engine.search("sea")) == ["b"]
    assert folders(tmp_path) == ["ix", "old"]


# ---- changed files --------------------------------------------------------------------------------------


def note(n_passages, word="ferry"):
    return "# Plan\n\n" + "\n\n".join(
        f"{word} wind and wave " * 45 + f"number {i}" for i in range(n_passages)
    )


def test_passages_that_a_changed_file_no_longer_has_go_with_an_update(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "plan.md").write_text(note(3))
    (notes / "other.md").write_text(note(2))
    engine = SearchEngine.build(tmp_path / "ix", notes, FakeEncoder())
    assert ids(engine.search("wind", k=10)) == [
        "other.md#1", "other.md#2", "plan.md#1", "plan.md#2", "plan.md#3",
    ]  # fmt: skip
    (notes / "plan.md").write_text(note(2, "ship"))
    (notes / "other.md").write_text("wind")
    with pytest.raises(InvalidInputError, match=r"holds "):
        engine.add(notes)
    engine.update(notes)
    assert ids(engine.search("wind", k=10)) == ["other.md", "plan.md#1", "plan.md#2"]
    assert ids(engine.search("ship", k=10)) == ["plan.md#1", "plan.md#2"]
    (notes / "other.md").write_text(note(2))
    engine.update(notes)
    assert ids(engine.search("wind", k=10)) == ["other.md#1", "other.md#2", "plan.md#1", "plan.md#2"]


def test_adding_a_file_of_which_the_index_holds_other_passages_is_refused(tmp_path):
    (tmp_path / "plan.md").write_text(note(3))
    engine = SearchEngine.build(tmp_path / "ix", tmp_path / "plan.md", FakeEncoder())
    (tmp_path / "plan.md").write_text("ship")
    with pytest.raises(InvalidInputError, match=r"holds 'plan\.md#1', an earlier passage of a document"):
        engine.add(tmp_path / "plan.md")


def test_an_id_that_only_looks_like_a_passage_stays(tmp_path):
    (tmp_path / "plan.md").write_text("wind")
    engine = SearchEngine.build(
        tmp_path / "ix", [Document("plan.md#7", "moon"), Document("x", "sea")], FakeEncoder()
    )
    engine.update(tmp_path / "plan.md")
    assert set(engine.index.ids()) == {"plan.md#7", "x", "plan.md"}


# ---- told in the first seconds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "b\\u0000c", "text": "x"}', r"corpus\.jsonl:2: the _id .* holds a NUL character"),
        (
            '{"_id": "%s", "text": "x"}' % ("é" * 2049),
            r"corpus\.jsonl:2: the _id has 4,098 bytes, at most 4,096",
        ),
    ],
)
@pytest.mark.parametrize("call", ["build", "add", "update"])
def test_what_the_index_would_refuse_is_refused_before_encoding(engine, tmp_path, line, message, call):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "ok", "text": "moon"}\n' + line + "\n")
    encoder = FakeEncoder()
    with pytest.raises(DatasetError, match=message):
        if call == "build":
            SearchEngine.build(tmp_path / "new", corpus, encoder)
        else:
            getattr(SearchEngine.open(engine.path, encoder), call)(corpus)
    assert encoder.encoded == 0
    assert folders(tmp_path) == ["ix"]


@pytest.mark.parametrize("call", ["add", "update"])
def test_a_field_without_a_value_of_its_columns_kind_is_refused_before_encoding(engine, tmp_path, call):
    encoder = FakeEncoder()
    with pytest.raises(InvalidInputError, match="year"):
        getattr(SearchEngine.open(engine.path, encoder), call)([{"id": "b", "text": "x", "year": "unknown"}])
    assert encoder.encoded == 0
    assert folders(tmp_path) == ["ix"]


def test_the_longest_id_that_a_corpus_may_have_is_the_one_that_an_index_takes(tmp_path):
    assert MAX_ID_BYTES == index_ids.MAX_ID_BYTES
    longest = "é" * (MAX_ID_BYTES // 2)
    built = SearchEngine.build(tmp_path / "new", [Document(longest, "moon")], FakeEncoder())
    assert ids(built.search("moon")) == [longest]
    with pytest.raises(DatasetError, match="document 0: the id has 4,098 bytes"):
        SearchEngine.build(tmp_path / "new2", [Document(longest + "é", "moon")], FakeEncoder())


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 10**6}, {"memory": 1}, {"memory": True}])
def test_a_budget_that_cannot_be_meant_is_refused_before_encoding(tmp_path, options):
    encoder = FakeEncoder()
    with pytest.raises(InvalidInputError, match=r"threads|memory"):
        SearchEngine.build(tmp_path / "new", [Document("a", "moon")], encoder, **options)
    assert encoder.encoded == 0


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
def test_a_folder_that_takes_nothing_is_refused_before_encoding(engine, tmp_path, monkeypatch, number):
    from splade_engine.index.disk import publish

    encoder = FakeEncoder()
    reopened = SearchEngine.open(engine.path, encoder)
    if number == errno.EACCES:
        monkeypatch.setattr(publish.os, "access", lambda path, mode: False)
    else:
        monkeypatch.setattr(publish.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match="ix") as error:
        reopened.add([Document("b", "sea")])
    assert error.value.errno == number
    assert encoder.encoded == 0


@pytest.mark.parametrize("given", [[["a", "b"]], ["a", ("b",)], [{"a": 1}], [None], [b"a"], [1]])
def test_an_id_that_is_no_string_is_one_line_and_nothing_is_deleted(engine, given):
    """A list within the list ended in a TypeError."""
    with pytest.raises(InvalidInputError, match=r"ids: number [01] is .*, a string is expected"):
        engine.delete(given)
    assert len(engine) == len(SearchEngine.open(engine.path, FakeEncoder())) > 0


@pytest.mark.parametrize("folder", [["a", "b"], b"a", 3, None, "", "a\0b"])
def test_a_folder_that_is_no_path_is_one_line(engine, folder):
    with pytest.raises(InvalidInputError, match="folder: a path is expected, got"):
        engine.sync(folder)


# ---- an index that is built anew ------------------------------------------------------------------------


def anew(engine):
    """The same folder by another encoder, as another process would build it."""
    SearchEngine.build(engine.path, [Document("z", "ship")], FakeEncoder(max_length=32), overwrite=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda engine, notes: engine.add([Document("b", "sea")]),
        lambda engine, notes: engine.update([Document("z", "sea")]),
        lambda engine, notes: engine.sync(notes),
    ],
    ids=["add", "update", "sync"],
)
def test_nothing_goes_into_an_index_that_another_encoder_has_built_anew(engine, tmp_path, change):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("moon")
    anew(engine)
    with pytest.raises(
        EncoderMismatchError, match=r"ix: was built with another encoder \(max_length 32, now 64"
    ):
        change(engine, tmp_path / "notes")
    assert SparseIndex.open(engine.path).ids() == ["z"]


def test_what_was_encoded_for_one_index_is_not_put_into_the_next(engine, monkeypatch):
    """It is built anew while documents are encoded, which takes hours."""
    encode = changes_module.encode_corpus

    def slow(*args, **options):
        encoded = encode(*args, **options)
        anew(engine)
        return encoded

    monkeypatch.setattr(
        changes_module, "encode_corpus", lambda *a, **k: (monkeypatch.undo(), slow(*a, **k))[1]
    )
    with pytest.raises(
        EncoderMismatchError, match=r"anew with another encoder since it was opened \(max_length"
    ):
        engine.add([Document("b", "sea")])
    assert SparseIndex.open(engine.path).ids() == ["z"]


def test_an_index_that_was_built_anew_is_searched_with_its_own_encoder_alone(engine):
    anew(engine)
    assert ids(engine.search("moon")) == ["a"], "the generation that is open is still that of the encoder"
    engine.index.refresh()
    for ask in (engine.search, lambda text: engine.encode_queries([text])):
        with pytest.raises(EncoderMismatchError, match="max_length 32, now 64"):
            ask("ship")
    SearchEngine.build(engine.path, [Document("c", "ship")], FakeEncoder(name="copy"), overwrite=True)
    engine.index.refresh()
    assert ids(engine.search("ship")) == ["c"], "a copy under another name is the same encoder"
