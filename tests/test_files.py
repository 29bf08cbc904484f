"""How files are written, read and checked: nothing is half written, and nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from splade_engine import files
from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import (
    Digest,
    atomic_file,
    atomic_folder,
    digest,
    digest_64,
    digest_of_file,
    digest_of_json,
    read_json,
    read_text,
    read_toml,
    write_json,
    write_text,
)
from tests.processes import in_another_process, killed


@pytest.fixture(autouse=True)
def _untidied(monkeypatch):
    monkeypatch.setattr(files, "_tidied", set())


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# ---- one file -------------------------------------------------------------------------------------------


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
        monkeypatch.setattr(files, "_nameless", lambda folder: None)
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


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_left_alone(tmp_path):
    code = "import splade_engine.files as f; f._nameless = lambda folder: None\n"
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
    for name in (*strangers, f".a.{files._host()}-{'9' * 30}-1.tmp"):
        (tmp_path / name).touch()
    with atomic_file(tmp_path / "c"):
        pass
    assert names(tmp_path) == sorted([*strangers, "c"])  # the fourth is of another machine


# ---- one folder -----------------------------------------------------------------------------------------


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


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "m").touch()
    with (
        pytest.raises(InvalidInputError, match="not a folder"),
        atomic_folder(tmp_path / "m", overwrite=True),
    ):
        pass


def test_a_folder_whose_writer_was_killed_between_its_two_renames_comes_back(tmp_path):
    code = """
import os
with atomic_folder(sys.argv[1]) as out: (out / 'old').touch()
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
    with atomic_file(tmp_path / "any"):
        pass
    assert names(tmp_path) == ["any", "m"]
    assert names(tmp_path / "m") == ["old"]


# ---- checksums and JSON ---------------------------------------------------------------------------------


def test_digests_are_xxh3_of_the_bytes(tmp_path):
    assert digest(b"") == "99aa06d3014798d86001c324468d497f"  # XXH3_128bits of nothing, seed 0
    (tmp_path / "a").write_bytes(b"abc" * 3_000_000)
    assert digest_of_file(tmp_path / "a") == digest(b"abc" * 3_000_000)
    pieces = Digest()
    pieces.update(b"x")
    pieces.update_from(tmp_path / "a")
    assert pieces.text() == digest(b"x" + b"abc" * 3_000_000)
    assert digest_64(b"") == 0x2D06800538D394C2  # XXH3_64bits of nothing, seed 0
    assert (
        digest_of_json({"a": 1, "b": [2]}) == digest_of_json({"b": [2], "a": 1}) != digest_of_json({"a": 1})
    )


def test_json_comes_back(tmp_path):
    value = {"ü": [1, 2.5, None], "half a pair": "\ud83d"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    json.loads((tmp_path / "a.json").read_bytes().decode("utf-8"))  # valid UTF-8, whatever the strings hold


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8|not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"9" * 5000, "digits"),
    ],
)
def test_json_that_cannot_be_read_is_one_line_with_the_file(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as error:
        read_json(tmp_path / "a.json")
    assert str(error.value).startswith(str(tmp_path / "a.json"))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_json_in_a_pipe_or_of_absurd_size_is_refused_at_once(tmp_path):
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidInputError, match="1099511627776 bytes"):
        read_json(tmp_path / "large.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
        with pytest.raises(InvalidInputError, match="not a regular file"):
            read_json(tmp_path / "pipe.json")
    with pytest.raises(StorageError, match="cannot read"):
        read_json(tmp_path / "absent.json")


def test_text_is_written_whole_in_utf_8(tmp_path):
    write_text(tmp_path / "page.html", "tides ≥ 1\n")
    assert (tmp_path / "page.html").read_bytes() == "tides ≥ 1\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "page.html", "half \ud83d")
    assert (tmp_path / "page.html").read_bytes() == "tides ≥ 1\n".encode()  # what was there stays
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = [", "not TOML: "),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML: Exceeds the limit"),
        (b"a = '\xe9'", "not UTF-8"),
    ],
)
def test_toml_that_cannot_be_read_is_one_line_with_the_file(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"a\.toml: {message}") as error:
        read_toml(tmp_path / "a.toml")
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_text_and_toml_come_back_and_pipes_and_devices_are_never_waited_for(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 'caf\xc3\xa9'\r\n")
    assert read_toml(tmp_path / "a.toml") == {"a": "café"}
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("zero.toml", "pipe.toml"):
        with pytest.raises(InvalidInputError, match="not a regular file"):
            read_toml(tmp_path / name)
    with pytest.raises(InvalidInputError, match="16 bytes, more than the 5 that can be meant"):
        read_text(tmp_path / "a.toml", most=5)
    with pytest.raises(StorageError, match=r"cannot read .*absent"):
        read_text(tmp_path / "absent")
