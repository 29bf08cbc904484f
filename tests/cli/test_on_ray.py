"""Commands on a Ray cluster: connected for as long as they run, whatever becomes of them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from splade_engine.cli.on_ray import cluster
from splade_engine.errors import MissingExtraError


def test_the_cluster_is_left_when_the_work_ends_and_when_it_fails(monkeypatch):
    told = []
    fake = SimpleNamespace(
        init=lambda **options: told.append(options["address"]), shutdown=lambda: told.append("left")
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    with cluster("auto", "building"):
        told.append("work")
    with pytest.raises(ZeroDivisionError), cluster("local", "building"):
        raise ZeroDivisionError
    assert told == ["auto", "work", "left", "local", "left"]


def test_the_extra_is_named_where_ray_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtraError, match=r"building on a cluster needs ray\[data,serve\]: pip install"),
        cluster("auto", "building on a cluster"),
    ):
        raise AssertionError
