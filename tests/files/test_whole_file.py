"""Files that appear whole or not at all: nothing is half written, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from splade_engine.errors import StorageError
from splade_engine.files import atomic_file, whole_file
from tests.processes import in_another_process, killed


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    with atomic_file(tmp_path / "a") as file:
        file.write(b"new")
        assert "a" not in names(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "a") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_what_the_disk_refuses_is_one_line_with_the_name(tmp_path):
    with (
        pytest.raises(StorageError, match=r"cannot write .*absent/a: No such file") as error,
        atomic_file(tmp_path / "absent" / "a"),
    ):
        pass
    assert error.value.errno == errno.ENOENT


def test_a_name_of_the_longest_length_can_be_written(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        with atomic_file(tmp_path / name) as file:
            file.write(b"1")
        assert (tmp_path / name).read_bytes() == b"1"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
def test_a_killed_writer_of_a_file_leaves_nothing(tmp_path):
    code = "c = atomic_file(Path(sys.argv[1])); f = c.__enter__(); f.write(b'half'); f.flush()"
    killed(in_another_process(code, tmp_path / "a"))
    assert names(tmp_path) == []


@pytest.mark.parametrize("lacking", ["files without a name", "a way to name one"])
def test_a_file_system_that_has_less_gets_the_same_file(tmp_path, monkeypatch, lacking):
    def refused(*arguments, **options):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if lacking == "a way to name one":
        monkeypatch.setattr(os, "link", refused)
    else:
        monkeypatch.setattr(whole_file, "_nameless", lambda folder: None)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    for content in (b"old", b"new" * 100_000):
        with atomic_file(tmp_path / "a") as file:
            file.write(content)
        assert (tmp_path / "a").read_bytes() == content
    assert names(tmp_path) == ["a"]
    assert not before or len(list(descriptors.iterdir())) <= before  # none of ours is open


def test_a_new_file_has_the_mode_that_other_new_files_get(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
