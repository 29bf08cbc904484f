"""Locks: one holder at a time, and none that outlives its process."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import filelock
import pytest

from splade_engine import locks
from splade_engine.errors import StorageError
from splade_engine.files import began
from splade_engine.locks import holder_runs, lock_holder, take_lock
from tests.index import made
from tests.processes import in_another_process, killed


def test_one_holder_at_a_time_within_a_process_too(tmp_path):
    path = tmp_path / "lock"
    first = take_lock(path)
    assert first is not None
    assert take_lock(path) is None
    first.release()
    with take_lock(path) as again:
        assert again is not None
        assert take_lock(path) is None
    assert path.exists()


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path):
    path = tmp_path / "lock"
    other = in_another_process("held = take_lock(Path(sys.argv[1]))", path)
    assert take_lock(path) is None
    assert lock_holder(path) == str(other.pid)
    killed(other)
    mine = take_lock(path)
    assert mine is not None
    assert lock_holder(path) == str(os.getpid())
    mine.release()
    assert lock_holder(tmp_path / "absent") == "unknown"


def test_all_that_may_write_into_a_shared_folder_may_lock_in_it(tmp_path):
    """An index in a folder of a group could be changed by whoever had built it alone."""
    for mask, mode in ((0o002, 0o664), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            take_lock(tmp_path / f"{mask}").release()
            made.index(tmp_path / f"ix-{mask}", 5)
        finally:
            os.umask(before)
        files = [tmp_path / f"{mask}", *(tmp_path / f"ix-{mask}").iterdir()]
        assert {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_a_lock_whose_folder_was_moved_is_not_in_place(tmp_path):
    """Another folder in its place has a lock of its own, which nobody holds."""
    (tmp_path / "a").mkdir()
    with take_lock(tmp_path / "a" / "lock") as held:
        assert held.in_place()
        (tmp_path / "a").rename(tmp_path / "b")
        assert not held.in_place()
        (tmp_path / "a").mkdir()
        with take_lock(tmp_path / "a" / "lock") as other:
            assert other.in_place()
            assert not held.in_place()
        assert take_lock(tmp_path / "b" / "lock") is None


@pytest.mark.skipif(not began(os.getpid()), reason="the system does not tell when a process began")
def test_an_earlier_process_with_the_number_of_this_one_does_not_run(tmp_path):
    (tmp_path / "lock").write_text(f"{os.getpid()} {int(began(os.getpid())) - 1}\n")
    assert not holder_runs(tmp_path / "lock")
    assert lock_holder(tmp_path / "lock") == str(os.getpid())
    for text in (
        f"{os.getpid()}\n",
        f"{os.getpid()} {began(os.getpid())}\n",
    ):  # the first is of earlier releases
        (tmp_path / "lock").write_text(text)
        assert holder_runs(tmp_path / "lock")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system tells no states of processes")
def test_a_stopped_holder_is_called_stopped(tmp_path):
    path = tmp_path / "lock"
    other = in_another_process("held = take_lock(Path(sys.argv[1]))", path)
    other.send_signal(signal.SIGSTOP)
    os.waitpid(other.pid, os.WUNTRACED)
    assert lock_holder(path) == f"{other.pid} (which is stopped)"
    assert holder_runs(path)
    other.send_signal(signal.SIGCONT)
    killed(other)


def test_a_long_wait_says_whom_it_is_for(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "SILENT", 0.05)
    caplog.set_level("INFO", logger="splade_engine")
    path = tmp_path / "lock"
    with take_lock(path):
        assert take_lock(path, timeout=0.05) is None
        assert caplog.messages == []
        assert take_lock(path, timeout=0.1) is None
    told = f"{path}: locked by process {os.getpid()}; waiting 0 s for it at most"
    assert caplog.messages == [told]


def test_a_lock_is_waited_for_as_long_as_told(tmp_path):
    path = tmp_path / "lock"
    other = in_another_process(
        "held = take_lock(Path(sys.argv[1]))\nprint('ready', flush=True)\ntime.sleep(0.3)\nheld.release()",
        path,
    )
    begun = time.monotonic()
    mine = take_lock(path, timeout=30)
    assert mine is not None
    assert time.monotonic() - begun < 20
    killed(other)


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("flock")]
)
def test_a_file_system_without_locks_is_one_line_and_never_a_marker_file(tmp_path, monkeypatch, failure):
    def refuse(self):
        raise failure

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    with pytest.raises(StorageError, match="this file system has no locks"):
        take_lock(tmp_path / "lock")


def test_a_folder_that_cannot_be_written_is_told_from_a_lock_that_is_held(tmp_path):
    with pytest.raises(StorageError, match="cannot lock"):
        take_lock(tmp_path / "absent" / "lock")
    assert not (tmp_path / "absent").exists()
    with pytest.raises(StorageError, match="cannot lock"):
        take_lock(tmp_path)
