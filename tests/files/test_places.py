"""What a path means."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import beside, cache_root, named


def test_what_is_kept_beside_a_folder_that_is_named_by_dots(tmp_path, monkeypatch):
    (tmp_path / "ix" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "ix" / "sub")
    assert beside(Path(".."), ".encoding") == tmp_path.resolve() / "ix.encoding"
    assert beside(Path(), ".encoding") == tmp_path.resolve() / "ix" / "sub.encoding"
    assert beside(Path("../v.arrow"), ".encoding") == Path("../v.arrow.encoding"), "as it was written"
    assert named(Path("..")) == tmp_path.resolve() / "ix" and named(Path("a")) == Path("a")
    with pytest.raises(InvalidInputError, match="/: the root folder has no name"):
        beside(Path("/"), ".encoding")


def test_a_name_that_leaves_no_room_for_an_ending_is_shortened(tmp_path):
    for name in ("n" * 229, "\u00fc" * 114):
        assert beside(tmp_path / name, ".encoding").name == f"{name}.encoding"
    places = set()
    for name in ("n" * 230, "n" * 255, "\u00fc" * 127, "n" * 179 + "\u00fc" * 38, "\udcff" * 255):
        place = beside(tmp_path / name, ".encoding-")
        (tmp_path / f"{place.name}0123456789abcdef").mkdir()
        places.add(place)
    assert len(places) == 5
    assert beside(tmp_path / ("n" * 230), ".x") == beside(tmp_path / ("n" * 230), ".x")


def test_where_caches_are_kept(tmp_path, monkeypatch):
    for name in ("SPLADE_ENGINE_CACHE", "SPLADE_ENGINE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "splade-engine"
    for given, root in (
        ("/kept", Path("/kept/splade-engine")),
        ("~/kept", tmp_path / "kept" / "splade-engine"),
        ("kept", cache_root()),  # a relative one would lie in another place for every working folder
        ("", cache_root()),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_root() == root
    monkeypatch.setenv("SPLADE_ENGINE_CACHE", "~/ours")
    assert cache_root() == tmp_path / "ours"
    assert cache_root("SPLADE_ENGINE_HOME") == tmp_path / ".cache" / "splade-engine"


def test_nobody_knows_the_home_folder(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for name in ("SPLADE_ENGINE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageError, match="the home folder is not known; SPLADE_ENGINE_HOME names another"):
        cache_root("SPLADE_ENGINE_HOME")
