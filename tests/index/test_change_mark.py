"""A change of several shards is seen whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from splade_engine.errors import IndexLockedError, StorageError
from splade_engine.files import began
from splade_engine.index import IndexReader, ShardedIndex, SparseIndex, change_mark
from splade_engine.index.change_mark import CHANGING
from splade_engine.index.collection import CollectionRecord
from tests.index import made
from tests.index.test_sharded import shards

IDS = ["d3", "d40", "d100"]  # in three of the four shards


@pytest.fixture
def many(tmp_path: Path) -> ShardedIndex:
    return ShardedIndex.collect(tmp_path / "all", shards(tmp_path))


def looking(monkeypatch: pytest.MonkeyPatch, look) -> list[int]:
    """Call `look` before each commit but the first; returns their numbers, which grow."""
    seen: list[int] = []
    whole = SparseIndex.delete

    def delete(self: SparseIndex, ids: list[str]) -> int:
        if type(self) is SparseIndex:
            if seen:
                look()
            seen.append(len(seen))
        return whole(self, ids)

    monkeypatch.setattr(SparseIndex, "delete", delete)
    return seen


def test_who_has_it_open_stays_where_he_is(many: ShardedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ShardedIndex.open(many.path)
    before = other.reader
    stamps = {other.stamp()}

    def look() -> None:
        assert other.refresh().reader is before
        assert all(id in other for id in IDS)
        stamps.add(other.stamp())

    commits = looking(monkeypatch, look)
    many.delete(IDS)
    assert len(commits) == 3
    assert len(stamps) == 3  # before, after the first commit and after the second
    assert other.stamp() not in stamps
    assert not any(id in other.refresh() for id in IDS)
    assert not (many.path / CHANGING).exists()


def test_who_opens_it_meanwhile_waits_and_then_says_so(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_mark, "WAIT", 0.1)

    def look() -> None:
        with pytest.raises(IndexLockedError, match="all: several shards are being changed; try again"):
            ShardedIndex.open(many.path)

    assert looking(monkeypatch, look) is not None
    many.delete(IDS)
    assert len(ShardedIndex.open(many.path)) == 117


def test_a_change_that_begins_while_the_shards_are_opened_is_noticed(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ShardedIndex.open(many.path)
    opened: list[Path] = []
    whole = IndexReader.open

    def open_one(folder: Path, verify: str = "full") -> IndexReader:
        opened.append(folder)
        if len(opened) == 2:  # the first shard is open as it was
            monkeypatch.setattr(IndexReader, "open", whole)
            other.delete(IDS)
        return whole(folder, verify)

    monkeypatch.setattr(IndexReader, "open", open_one)
    late = ShardedIndex.open(many.path)
    assert len(opened) == 2
    assert not any(id in late for id in IDS)
    assert late.reader.record.is_of(late.shards)


def test_a_change_of_one_shard_needs_no_mark(many: ShardedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(folder: Path, process: int) -> None:
        raise AssertionError

    monkeypatch.setattr(change_mark, "begin", begun)
    many.delete(["d3", "d4"])
    assert len(many) == 118


def test_an_update_of_several_shards_is_marked_too(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[bool] = []
    whole = CollectionRecord.write

    def write(self: CollectionRecord, folder: Path) -> None:
        marked.append(change_mark.under_way(folder))
        whole(self, folder)

    monkeypatch.setattr(CollectionRecord, "write", write)
    many.update(made.vectors(5, 3), IDS, payload=made.payload(3), threads=1)
    assert marked == [True]
    assert not change_mark.under_way(many.path)


def test_a_disk_that_refuses_the_record_leaves_no_mark(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: CollectionRecord, folder: Path) -> None:
        raise StorageError(28, "No space left on device", str(folder))

    monkeypatch.setattr(CollectionRecord, "write", write)
    with pytest.raises(StorageError):
        many.delete(IDS)
    assert not (many.path / CHANGING).exists()
    assert not any(id in ShardedIndex.open(many.path) for id in IDS)


def test_the_mark_of_a_killed_process_holds_nobody_up(many: ShardedIndex) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    change_mark.begin(many.path, gone.pid)
    assert not change_mark.under_way(many.path)
    assert len(ShardedIndex.open(many.path)) == 120
    many.delete(IDS)
    assert not (many.path / CHANGING).exists()


def test_the_mark_of_another_machine_is_over_after_ten_minutes(many: ShardedIndex) -> None:
    mark = many.path / CHANGING
    mark.write_text(json.dumps({"host": "elsewhere", "process": 1}))
    assert change_mark.under_way(many.path)
    for moment in (1, time.time() + 3600):  # by a clock of its own, which may be ahead
        os.utime(mark, (moment, moment))
        assert not change_mark.under_way(many.path)
    os.utime(mark, (time.time() + 60, time.time() + 60))
    assert change_mark.under_way(many.path)


@pytest.mark.skipif(not began(os.getpid()), reason="the system does not tell when a process began")
def test_the_mark_of_an_earlier_process_with_the_same_number_holds_nobody_up(
    many: ShardedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that was killed and started again waited for itself, for ever."""
    change_mark.begin(many.path, os.getpid())
    assert change_mark.under_way(many.path)
    mark = json.loads((many.path / CHANGING).read_text())
    (many.path / CHANGING).write_text(json.dumps(mark | {"began": "1"}))
    monkeypatch.setattr(change_mark, "WAIT", 0.1)
    assert len(ShardedIndex.open(many.path)) == 120


@pytest.mark.parametrize("text", ["", "[]", "{", '{"process": "1"}', '{"process": -1}', '{"process": true}'])
def test_a_mark_of_nobody_is_none(many: ShardedIndex, text: str) -> None:
    (many.path / CHANGING).write_text(text)
    assert not change_mark.under_way(many.path)
    assert len(ShardedIndex.open(many.path)) == 120
