"""What others import from `splade_engine.training`, and what that costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import splade_engine.training as door


def test_the_door_is_cheap_until_something_runs():
    code = (
        "import sys\nfrom splade_engine.training import MiningConfig, Recipe, load_recipe, recipe_names\n"
        "load_recipe('l0').override({'loss.kl': 2.0}).to_toml(explain=True)\n"
        "print(sorted({'torch', 'transformers', 'numba', 'pyarrow', 'scipy', 'numpy'} & set(sys.modules)))\n"
        "from splade_engine.training import train\n"
        "print('torch' in sys.modules, train.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "True train"]


def test_every_name_is_there_and_no_other():
    for name in door.__all__:
        assert getattr(door, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        door.trian  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'trian'"):
        from splade_engine.training import trian  # noqa: F401
