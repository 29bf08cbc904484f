"""Text, JSON and TOML: what comes back, and what is refused in one line."""

from __future__ import annotations

import json
import os

import pytest

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import read_json, read_text, read_toml, write_json, write_text


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
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "'c' occurs twice"),
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


def test_a_key_twice_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"a": {"pooling": "max", "b": 1, "pooling": "sum"}}')
    with pytest.raises(InvalidInputError, match=r"config\.json: 'pooling' occurs twice$"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps({"x" * 10_000: 1})[:-1] + f', "{"x" * 10_000}": 2}}')
    with pytest.raises(InvalidInputError) as error:
        read_json(tmp_path / "config.json")
    assert len(str(error.value)) < 300
