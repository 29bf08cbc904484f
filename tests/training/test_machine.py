"""Which processes of a run there are, as torchrun says."""

from __future__ import annotations

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.training import load_recipe, train
from splade_engine.training.machine import rank, world_size


def test_what_torchrun_sets(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "")
    assert (world_size(), rank()) == (1, 0)
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "3")
    assert (world_size(), rank()) == (8, 3)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WORLD_SIZE", "0"), ("WORLD_SIZE", "two"), ("WORLD_SIZE", "9" * 5000), ("RANK", "-1"), ("RANK", "1.0")],
)
def test_what_is_no_number_is_told_before_any_work(variable, value, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInputError, match=f"^{variable}: a whole number of at least ") as refused:
        train(load_recipe("splade"), tmp_path / "run")
    assert len(str(refused.value)) < 200
    assert not (tmp_path / "run").exists()
