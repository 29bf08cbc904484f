"""Old module names: one minor release long they give the module at its new place, and say so."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from splade_engine.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_module_at_its_new_place(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {MOVED[old]};"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(MOVED[old])
    assert found.__spec__.name == MOVED[old]


def test_no_new_place_is_itself_an_old_name():
    assert not set(MOVED) & set(MOVED.values())


def test_the_warning_points_at_the_line_that_imports():
    code = "import splade_engine\n\nfrom splade_engine.hits import Hit\nassert Hit is splade_engine.Hit"
    run = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    assert "<string>:3: DeprecationWarning: splade_engine.hits is now splade_engine.engine.hits" in run.stderr


def test_what_lies_below_a_package_that_moved_is_not_loaded_twice():
    with pytest.warns(DeprecationWarning):
        old = importlib.import_module("splade_engine.documents.corpus")
    assert old is importlib.import_module("splade_engine.collections.corpus")
    with pytest.warns(DeprecationWarning), pytest.raises(ModuleNotFoundError):
        importlib.import_module("splade_engine.documents.nothing")


def test_other_unknown_names_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"splade_engine\.nothing"):
        importlib.import_module("splade_engine.nothing")
