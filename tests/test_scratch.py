"""Temporary folders of processes that were killed are removed by the next one of their use, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from splade_engine.scratch import Scratch, remove_abandoned

CHILD = """
import sys, time
from splade_engine.scratch import Scratch
scratch = Scratch("eval")
(scratch.path / "index").write_text("large")
print(scratch.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(path: Path, seconds: float = 3600) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_it_is_gone_when_it_is_closed_or_forgotten(root: Path):
    scratch = Scratch("eval")
    assert scratch.path.parent == root
    scratch.close()
    assert not scratch.path.exists()
    path = Scratch("eval").path
    assert not path.exists()
    with Scratch("push") as path:
        assert path.name.startswith("splade-engine-push-")
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_what_a_killed_process_leaves_is_removed_and_what_lives_is_not(root: Path):
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    path = Path(child.stdout.readline().strip())
    age(path)
    with_live = Scratch("eval")
    assert path.exists(), "the folder of a process that runs"
    age(with_live.path)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert path.exists()
    Scratch("eval").close()
    assert not path.exists()
    assert with_live.path.exists()
    with_live.close()


def test_folders_without_a_lock_go_after_a_day(root: Path):
    new, old, ahead = (root / f"splade-engine-eval-{name}" for name in ("new", "old", "ahead"))
    other = root / "splade-engine-index"
    for path, hours in ((new, 1), (old, 48), (ahead, -48), (other, 48)):
        path.mkdir()
        age(path, hours * 3600)
    (root / "splade-engine-eval-link").symlink_to(other)
    remove_abandoned(root, "splade-engine-eval-")
    assert sorted(p.name for p in root.iterdir()) == ["splade-engine-eval-link", new.name, other.name]


def test_no_place_for_it_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch):
    from splade_engine.errors import StorageError

    monkeypatch.setattr(tempfile, "tempdir", str(root / "nowhere"))
    with pytest.raises(StorageError, match=r"cannot make a folder in .*nowhere: No such file"):
        Scratch("eval")
