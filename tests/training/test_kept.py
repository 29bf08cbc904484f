"""What a run keeps for when it is resumed is taken only whole, and only for what it was made from."""

from __future__ import annotations

import json

import pytest

from splade_engine.training.kept import keep, kept

FROM = {"texts": "12", "model": "34"}


@pytest.fixture(params=["file", "folder"])
def thing(request, tmp_path):
    """A file, or a folder of two, that is kept; and a file of it to damage."""
    path = inner = tmp_path / "thing"
    if request.param == "folder":
        (path / "sub").mkdir(parents=True)
        (path / "other").write_bytes(b"other")
        inner = path / "sub" / "file"
    inner.write_bytes(b"0123456789")
    keep(path, FROM)
    assert kept(path, FROM)
    return path, inner


@pytest.mark.parametrize("content", [b"", b"01234", b"0123456788", b"01234567890"])
def test_a_damaged_one_is_not_taken(content, thing, caplog):
    path, inner = thing
    inner.write_bytes(content)
    assert not kept(path, FROM)
    assert "thing: damaged, or made for something else; it is not used" in caplog.text
    assert not path.is_dir()


def test_one_of_something_else_is_not_taken(thing, tmp_path, caplog):
    path, _ = thing
    other = path.rename(tmp_path / "other")
    (tmp_path / "thing.made").rename(tmp_path / "other.made")
    assert not kept(other, FROM | {"model": "35"})
    assert "other: damaged, or made for something else" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 9999])
def test_a_damaged_mark_is_no_mark(text, thing, tmp_path):
    (tmp_path / "thing.made").write_text(text)
    assert not kept(thing[0], FROM)


def test_without_a_mark_a_kill_came_between(thing, tmp_path, caplog):
    path, _ = thing
    mark = json.loads((tmp_path / "thing.made").read_text())
    assert set(mark) == {"made_from", "holds"}
    (tmp_path / "thing.made").unlink()
    assert not kept(path, FROM) and not kept(tmp_path / "none", FROM)
    assert not caplog.text
