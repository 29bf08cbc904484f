"""What a path means."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.files import beside, named


def test_what_is_kept_beside_a_folder_that_is_named_by_dots(tmp_path, monkeypatch):
    (tmp_path / "ix" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "ix" / "sub")
    assert beside(Path(".."), ".encoding") == tmp_path.resolve() / "ix.encoding"
    assert beside(Path(), ".encoding") == tmp_path.resolve() / "ix" / "sub.encoding"
    assert beside(Path("../v.arrow"), ".encoding") == Path("../v.arrow.encoding"), "as it was written"
    assert named(Path("..")) == tmp_path.resolve() / "ix" and named(Path("a")) == Path("a")
    with pytest.raises(InvalidInputError, match="/: the root folder has no name"):
        beside(Path("/"), ".encoding")
