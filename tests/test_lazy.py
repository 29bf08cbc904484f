"""Doors import a name when it is first used, and say what they do not have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from splade_engine.lazy import lazy
from splade_engine.vectors import SparseVectors


def test_a_name_is_imported_from_its_home():
    attribute = lazy("splade_engine", {"SparseVectors": "vectors"})
    assert attribute("SparseVectors") is SparseVectors
    with pytest.raises(AttributeError, match=r"module 'splade_engine' has no attribute 'Vectors'"):
        attribute("Vectors")


@pytest.mark.parametrize(
    ("door", "home"),
    [
        ("splade_engine", "splade_engine.vectors"),
        ("splade_engine.engine", "splade_engine.engine.engine"),
        ("splade_engine.server", "splade_engine.server.app"),
        ("splade_engine.training", "torch"),
    ],
)
def test_a_door_is_imported_without_what_lies_behind_it(door, home):
    code = f"import sys, {door}; sys.exit({home!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
