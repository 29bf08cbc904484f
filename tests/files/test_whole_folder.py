"""Folders that appear whole or not at all, and replace others only when told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.files import atomic_file, atomic_folder, leftovers
from tests.processes import in_another_process, killed


@pytest.fixture(autouse=True)
def _untidied(monkeypatch):
    monkeypatch.setattr(leftovers, "_tidied", set())


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_appears_whole_and_replaces_only_when_told(tmp_path):
    with atomic_folder(tmp_path / "m") as out:
        (out / "x").write_text("1")
        (out / "sub").mkdir()
        (out / "sub" / "y").write_text("2")
    assert names(tmp_path) == ["m"]
    with pytest.raises(InvalidInputError, match="not empty"), atomic_folder(tmp_path / "m"):
        pass
    with atomic_folder(tmp_path / "m", overwrite=True) as out:
        (out / "z").write_text("3")
    assert names(tmp_path) == ["m"]
    assert names(tmp_path / "m") == ["z"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_at_its_place_meanwhile_stays(tmp_path, overwrite):
    """Hours pass between the first look and the rename: what somebody has put there was deleted."""
    with (
        pytest.raises(InvalidInputError, match="'mine.txt' and no x" if overwrite else "not empty"),
        atomic_folder(tmp_path / "m", overwrite=overwrite, mark="x" if overwrite else "") as out,
    ):
        (out / "x").touch()
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "mine.txt").write_text("mine")
    assert names(tmp_path) == ["m"]
    assert names(tmp_path / "m") == ["mine.txt"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "m").touch()
    with (
        pytest.raises(InvalidInputError, match="not a folder"),
        atomic_folder(tmp_path / "m", overwrite=True),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have two renames")
def test_a_folder_that_is_replaced_is_there_at_every_moment(tmp_path, monkeypatch):
    """The old one was moved aside first: a process that was killed then left none for readers."""
    with atomic_folder(tmp_path / "m") as out:
        (out / "old").touch()
    moved = []
    monkeypatch.setattr(Path, "rename", lambda *names: moved.append(names))
    with atomic_folder(tmp_path / "m", overwrite=True) as out:
        (out / "new").touch()
    assert not moved and names(tmp_path / "m") == ["new"] and names(tmp_path) == ["m"]


@pytest.mark.parametrize("by", ["a writer", "a reader"])
def test_a_folder_whose_writer_was_killed_between_its_two_renames_comes_back(tmp_path, by):
    code = """
import os
with atomic_folder(sys.argv[1]) as out: (out / 'old').touch()
import splade_engine.files.whole_folder as w
w._exchanged = lambda *_: False  # as where the file system cannot
def stop(*_): print('ready', flush=True); time.sleep(600)
real = Path.rename
def rename(self, target):
    if self.name.endswith('.tmp'): stop()
    return real(self, target)
Path.rename = rename
with atomic_folder(sys.argv[1], overwrite=True) as out: (out / 'new').touch()
"""
    killed(in_another_process(code, tmp_path / "m"))
    assert not (tmp_path / "m").exists()
    if by == "a reader":
        (tmp_path / "any").touch()
        leftovers.bring_back(tmp_path / "m")
    else:
        with atomic_file(tmp_path / "any"):
            pass
    assert names(tmp_path) == ["any", "m"]
    assert names(tmp_path / "m") == ["old"]
