"""A package that is not there is one line with the command that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine import extras
from splade_engine.errors import MissingExtraError
from splade_engine.extras import PACKAGES, needed

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("module", "core", "command"),
    [
        ("torch", True, "pip install 'splade-engine-core[encode]'"),
        ("torch", False, "pip install torch"),
        ("Stemmer", False, "pip install PyStemmer"),
        ("matplotlib.figure", False, "pip install 'splade-engine[train]'"),
    ],
)
def test_the_command_fits_the_distribution(monkeypatch, module, core, command):
    monkeypatch.setattr(extras, "_is_core", lambda: core)
    with pytest.raises(MissingExtraError) as error, needed("encoding documents"):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    package = PACKAGES[module.partition(".")[0]][0]
    assert str(error.value) == f"encoding documents needs {package}: {command}"
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["something_else", None])
def test_other_modules_keep_their_error(name):
    with pytest.raises(ModuleNotFoundError), needed("anything"):
        raise ModuleNotFoundError("No module", name=name)


def test_this_checkout_is_not_the_light_distribution():
    assert not extras._is_core()
