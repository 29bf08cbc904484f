from __future__ import annotations

import errno
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from splade_engine.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    StorageError,
)
from splade_engine.index import SparseIndex
from splade_engine.index.disk import publish
from splade_engine.index.disk.publish import IndexWriter, prepare_folder, read_manifest
from tests.crash.faulty import FaultyOs, installed
from tests.index import made


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_a_build_leaves_its_files_the_manifest_and_the_lock(tmp_path: Path) -> None:
    made.index(tmp_path / "ix")
    manifest, _ = read_manifest(tmp_path / "ix")
    assert names(tmp_path / "ix") == {*manifest.file_names(), "manifest.json", "write.lock"}


def test_old_files_go_after_the_commit_and_open_readers_stay(tmp_path: Path) -> None:
    old = made.index(tmp_path / "ix", seed=1)
    queries = made.vectors(9, 5)
    before, files = made.answers(old, queries), names(tmp_path / "ix")
    new = SparseIndex.build(tmp_path / "ix", made.vectors(2, 40), overwrite=True)
    assert names(tmp_path / "ix") & files == {"manifest.json", "write.lock"}
    assert made.answers(old, queries) == before
    assert made.answers(new, queries) != before
    assert made.answers(old.refresh(), queries) == made.answers(new, queries)


def test_a_failed_build_leaves_the_old_index(tmp_path: Path) -> None:
    old = made.index(tmp_path / "ix")
    before, files = (tmp_path / "ix" / "manifest.json").read_bytes(), names(tmp_path / "ix")

    def broken_stream() -> object:
        yield made.vectors(1, 5)
        raise KeyError("the reader of the corpus failed")

    with pytest.raises(KeyError):
        SparseIndex.build(tmp_path / "ix", broken_stream(), overwrite=True)
    assert (tmp_path / "ix" / "manifest.json").read_bytes() == before
    assert names(tmp_path / "ix") == files
    assert len(SparseIndex.open(tmp_path / "ix")) == len(old)


def test_a_failed_first_build_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="also the id"):
        SparseIndex.build(tmp_path / "ix", made.vectors(1, 2), ["a", "a"])
    assert not (tmp_path / "ix").exists()


def test_a_full_folder_is_refused(tmp_path: Path) -> None:
    made.index(tmp_path / "ix")
    with pytest.raises(IndexExistsError, match="exists already and holds an index"):
        made.index(tmp_path / "ix")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(IndexExistsError, match="not empty"):
            SparseIndex.build(tmp_path / "full", made.vectors(1, 2), overwrite=overwrite)
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexExistsError, match="not a folder"):
        SparseIndex.build(tmp_path / "file", made.vectors(1, 2), overwrite=True)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


def test_a_folder_of_links_is_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    """DVC makes such folders: the lock is a link too, and the system calls that a loop."""
    made.index(tmp_path / "cached")
    (tmp_path / "ix").mkdir()
    for path in (tmp_path / "cached").iterdir():
        (tmp_path / "ix" / path.name).symlink_to(path)
    for refuse in (publish.refuse_unwritable, partial(publish.refuse_occupied, overwrite=True)):
        with pytest.raises(StorageError, match=r"write\.lock: a symbolic link, .*; cp -rL makes a folder"):
            refuse(tmp_path / "ix")


def test_strangers_in_an_index_folder_survive_every_change(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    (tmp_path / "ix" / "notes.txt").write_text("mine")
    (tmp_path / "ix" / ("0" * 32 + ".backup")).write_text("mine too")
    ix.delete(["1"])
    ix.compact()
    SparseIndex.build(tmp_path / "ix", made.vectors(1, 2), overwrite=True)
    assert {"notes.txt", "0" * 32 + ".backup"} <= names(tmp_path / "ix")


def test_remains_of_a_dead_build_are_no_obstacle_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "ix"
    folder.mkdir()
    for name in ("0" * 32 + ".postings", "manifest.json.tmp", "write.lock"):
        (folder / name).write_bytes(b"half")
    made.index(folder)
    (folder / ("1" * 32 + ".ids")).write_bytes(b"half")
    (folder / "manifest.json.tmp").write_bytes(b"half")
    SparseIndex.open(folder).delete(["0"])
    manifest, _ = read_manifest(folder)
    assert names(folder) == {*manifest.file_names(), "manifest.json", "write.lock"}


def test_a_damaged_index_can_be_overwritten_and_nothing_else(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    (tmp_path / "ix" / "manifest.json").write_bytes(b"damaged")
    files = names(tmp_path / "ix")
    with pytest.raises(IndexCorruptError):
        ix.delete(["0"])
    assert names(tmp_path / "ix") == files
    assert len(SparseIndex.build(tmp_path / "ix", made.vectors(1, 3), overwrite=True)) == 3
    assert names(tmp_path / "ix") == {
        *read_manifest(tmp_path / "ix")[0].file_names(),
        "manifest.json",
        "write.lock",
    }


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    with IndexWriter(tmp_path / "ix"):
        with pytest.raises(IndexLockedError, match=f"process {os.getpid()} is writing"):
            ix.delete(["0"])
        assert len(SparseIndex.open(tmp_path / "ix")) == 40  # readers need no lock
    assert ix.delete(["0"]) == 1


def test_the_lock_of_a_killed_writer_is_free(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix")
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with IndexWriter(tmp_path / "ix"):
                os.write(tell, b"x")
                signal.pause()
        finally:
            os._exit(1)
    os.read(ready, 1)
    with pytest.raises(IndexLockedError, match=f"process {child} "):
        ix.delete(["0"])
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    assert ix.delete(["0"]) == 1


def test_no_index(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(IndexNotFoundError, match="no index here"):
            SparseIndex.open(path)
    with pytest.raises(IndexNotFoundError, match="no such folder"), IndexWriter(tmp_path / "none"):
        pass
    with pytest.raises(IndexNotFoundError), IndexWriter(tmp_path) as writer:
        writer.current()


def test_prepare_folder_says_what_it_made(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "a" / "b", overwrite=False)
    assert not prepare_folder(tmp_path / "a" / "b", overwrite=False)


def test_the_name_of_a_new_folder_is_flushed_before_the_commit(tmp_path: Path) -> None:
    with installed(FaultyOs(trace=[])) as faulty:
        made.index(tmp_path / "ix")
    assert faulty.trace is not None
    steps = [
        note[0] for note in faulty.trace if note[0] in ("makedirs", "replace") or note[1] == str(tmp_path)
    ]
    assert steps == ["makedirs", "fsync", "replace"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"Not a directory.*file/ix"):
        SparseIndex.build(tmp_path / "file" / "ix", made.vectors(1, 2))


def test_a_reader_follows_a_writer_that_publishes_while_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.index(tmp_path / "ix", seed=1)
    stale = read_manifest(tmp_path / "ix")
    new = SparseIndex.build(tmp_path / "ix", made.vectors(2, 30), overwrite=True)
    answers = iter([stale])
    monkeypatch.setattr(
        "splade_engine.index.opening.read_manifest",
        lambda folder: next(answers, None) or publish.read_manifest(folder),
    )
    queries = made.vectors(9, 5)
    assert made.answers(SparseIndex.open(tmp_path / "ix"), queries) == made.answers(new, queries)


def test_a_missing_file_is_corruption_not_a_race(tmp_path: Path) -> None:
    made.index(tmp_path / "ix")
    next((tmp_path / "ix").glob("*.ids")).unlink()
    with pytest.raises(IndexCorruptError, match=r"\.ids: the file is missing"):
        SparseIndex.open(tmp_path / "ix")


def test_equal_builds_are_equal_to_the_byte(tmp_path: Path) -> None:
    for name, threads in (("a", 1), ("b", 2), ("c", 2)):
        ix = SparseIndex.build(
            tmp_path / name, made.vectors(1, 50), payload=made.payload(50), threads=threads
        )
        ix.add(made.vectors(2, 10), [f"n{i}" for i in range(10)], threads=threads)
        ix.delete(["7"])
    content = [
        {p.name: p.read_bytes() for p in (tmp_path / n).iterdir() if p.name != "write.lock"} for n in "abc"
    ]
    assert content[0] == content[1] == content[2]


def test_two_segments_of_equal_content_are_two_files(tmp_path: Path) -> None:
    same = made.vectors(1, 100)
    ix = SparseIndex.build(tmp_path / "ix", same)
    ix.add(same[:20], [f"n{i}" for i in range(20)])
    ix.add(same[:8], [f"m{i}" for i in range(8)])
    assert ix.info().n_segments == 3
    assert np.array_equal(ix.vectors().weights[: same.nnz], same.weights)


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    ix = made.index(tmp_path / "ix")
    before = names(tmp_path / "ix")
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(
        StorageError, match=r"write\.lock: this file system has no locks; choose a folder"
    ) as e:
        ix.delete(ix.ids()[:1])
    assert e.value.errno == errno.ENOLCK
    with pytest.raises(StorageError, match="this file system has no locks"):
        SparseIndex.build(tmp_path / "new", made.vectors(1, 3))
    assert not (tmp_path / "new").exists()
    assert names(tmp_path / "ix") == before
    assert len(SparseIndex.open(tmp_path / "ix")) == len(ix), "reading takes no lock"


@pytest.mark.parametrize("how", ["access", "open"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A folder of another user, and a read-only file system (tests may run as root, whom no mode stops)."""
    ix = made.index(tmp_path / "ix")
    publish.refuse_unwritable(tmp_path / "ix")
    if how == "access":
        monkeypatch.setattr(publish.os, "access", lambda *_: False)
        message = "this process may not write into the folder"
    else:
        real = os.open

        def read_only(path: object, flags: int, *rest: int) -> int:
            if flags & (os.O_RDWR | os.O_WRONLY):
                raise OSError(errno.EROFS, "Read-only file system")
            return real(path, flags, *rest)  # type: ignore[call-overload]

        monkeypatch.setattr(publish.os, "open", read_only)
        message = "Read-only file system"

    def measured(*_: object, **__: object) -> None:
        raise AssertionError("measured although nothing can be stored")

    monkeypatch.setattr("splade_engine.index.tuning.measure", measured)
    for change in (lambda: publish.refuse_unwritable(ix.path), ix.tune):
        with pytest.raises(StorageError, match=message):
            change()
    with pytest.raises(IndexNotFoundError, match="no such folder"):
        publish.refuse_unwritable(tmp_path / "nowhere")


def test_folders_of_links_are_told_how_to_become_folders_of_files(tmp_path: Path) -> None:
    made.index(tmp_path / "ix")
    (tmp_path / "links").mkdir()
    for path in (tmp_path / "ix").iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    with pytest.raises(
        IndexCorruptError, match=r"manifest\.json: a symbolic link, .* cp -rL makes a folder of"
    ):
        SparseIndex.open(tmp_path / "links")
    shutil.copytree(tmp_path / "links", tmp_path / "files", symlinks=False)
    assert SparseIndex.open(tmp_path / "files").ids() == SparseIndex.open(tmp_path / "ix").ids()


@pytest.mark.parametrize("moment", ["at the lock", "before a file", "behind the files"])
def test_an_index_that_takes_the_place_of_another_during_a_change_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A compaction of the old one replaced the new one, of which nothing was left."""
    old = made.changed_index(tmp_path / "ix")
    answers = made.answers(old, made.vectors(9, 5))
    new = made.index(tmp_path / "new", 30, seed=7)
    expected = made.answers(new, made.vectors(9, 5))

    def swap() -> None:
        (tmp_path / "ix").rename(tmp_path / "old")
        (tmp_path / "new").rename(tmp_path / "ix")

    swaps = iter([swap])

    def first(whole, before: bool):
        def call(*args, **options):
            if before:
                next(swaps, lambda: None)()
            found = whole(*args, **options)
            if not before:
                next(swaps, lambda: None)()
            return found

        return call

    if moment == "at the lock":  # between taking it and looking
        monkeypatch.setattr(publish, "take_lock", first(publish.take_lock, False))
    else:
        whole = IndexWriter.add_file
        monkeypatch.setattr(IndexWriter, "add_file", first(whole, moment == "before a file"))
    if moment == "at the lock":
        old.compact(threads=1)  # of the new one, which is in one segment
    else:
        with pytest.raises(IndexLockedError, match="ix: was moved or replaced during the change"):
            old.compact(threads=1)
    assert made.answers(SparseIndex.open(tmp_path / "ix"), made.vectors(9, 5)) == expected
    assert made.answers(SparseIndex.open(tmp_path / "old"), made.vectors(9, 5)) == answers
    SparseIndex.open(tmp_path / "ix").check()
    SparseIndex.open(tmp_path / "old").delete(["5"])  # and whatever was left there is gone
    manifest, _ = read_manifest(tmp_path / "old")
    for name in ("ix", "old"):
        manifest, _ = read_manifest(tmp_path / name)
        assert names(tmp_path / name) == {*manifest.file_names(), "manifest.json", "write.lock"}


def test_a_folder_that_is_gone_during_a_change_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ix = made.changed_index(tmp_path / "ix")
    whole = IndexWriter.commit

    def commit(self: IndexWriter, manifest) -> None:
        shutil.rmtree(tmp_path / "ix")
        whole(self, manifest)

    monkeypatch.setattr(IndexWriter, "commit", commit)
    with pytest.raises(StorageError, match="ix"):
        ix.compact(threads=1)
    assert not (tmp_path / "ix").exists()
