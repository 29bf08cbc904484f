"""How often a process of the command line looks for garbage."""

from __future__ import annotations

import gc

import pytest

from splade_engine.cli import garbage


@pytest.fixture
def ended(monkeypatch):
    """What is called when the process ends; thresholds are set back."""
    before, at_end = gc.get_threshold(), []
    monkeypatch.setattr(garbage.atexit, "register", at_end.append)
    yield at_end
    gc.set_threshold(*before)


def test_garbage_is_looked_for_seldom_and_not_at_the_end(ended):
    others = gc.get_threshold()[1:]
    garbage.look_seldom()
    assert gc.get_threshold() == (garbage.OBJECTS, *others)
    assert gc.isenabled()
    assert ended == [gc.freeze]


def test_a_collector_that_is_off_stays_off(ended):
    gc.set_threshold(0, 7, 8)
    garbage.look_seldom()
    assert gc.get_threshold() == (0, 7, 8)
