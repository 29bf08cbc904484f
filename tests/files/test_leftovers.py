"""What killed writers leave is removed, and nothing else."""

from __future__ import annotations

import os

import pytest

from splade_engine.files import atomic_file, atomic_folder, began, leftovers
from tests.processes import in_another_process, killed


@pytest.fixture(autouse=True)
def _untidied(monkeypatch):
    monkeypatch.setattr(leftovers, "_tidied", set())


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_left_alone(tmp_path):
    code = "import splade_engine.files.whole_file as f; f._nameless = lambda folder: None\n"
    code += "c = atomic_file(Path(sys.argv[1])); f = c.__enter__(); f.write(b'half'); f.flush()"
    killed(in_another_process(code, tmp_path / "a"))
    assert [name[:3] for name in names(tmp_path)] == [".a."]
    alive = in_another_process(code, tmp_path / "b")  # its first write in this folder tidies it
    try:
        assert [name[:3] for name in names(tmp_path)] == [".b."]
        with atomic_file(tmp_path / "c") as file:
            file.write(b"whole")
        assert [name[:3] for name in names(tmp_path)] == [".b.", "c"]
    finally:
        killed(alive)


def test_files_that_only_look_alike_stay(tmp_path):
    strangers = [".a.tmp", ".a.123.tmp", "a.0123ab-1-2.tmp", ".a.0123ab-99999999-1.tmp", ".a.swp"]
    for name in (*strangers, f".a.{leftovers._host()}-{'9' * 30}-1.tmp"):
        (tmp_path / name).touch()
    with atomic_file(tmp_path / "c"):
        pass
    assert names(tmp_path) == sorted([*strangers, "c"])  # the fourth is of another machine


@pytest.mark.skipif(not began(os.getpid()), reason="the system does not tell when a process began")
def test_what_an_earlier_process_with_this_number_left_is_removed(tmp_path):
    """A container that was killed and started again has the same name, and its process is number 1 again."""
    left = f"{leftovers._host()}-{os.getpid()}.{int(began(os.getpid())) - 1}"
    (tmp_path / f".a.{left}-0.tmp").touch()
    (tmp_path / f".m.{left}-1.tmp").mkdir()
    (tmp_path / f".old.{left}-2.old").mkdir()
    with atomic_file(tmp_path / "a") as file:
        file.write(b"whole")
    assert names(tmp_path) == ["a", "old"]


def test_a_name_that_is_taken_is_passed_over(tmp_path, monkeypatch):
    """Where the system does not tell when a process began, what an earlier one left may have our names."""
    monkeypatch.setattr(leftovers, "began", lambda pid: "")
    monkeypatch.setattr(leftovers, "_serial", iter(range(9)))
    taken = [f".m.{leftovers._host()}-{os.getpid()}-{number}.tmp" for number in (0, 1)]
    for name in taken:
        (tmp_path / name).mkdir()
    with atomic_folder(tmp_path / "m") as out:
        (out / "x").touch()
    assert names(tmp_path) == sorted([*taken, "m"])
