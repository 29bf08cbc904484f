"""Tables of JSON and TOML become dataclasses, each field of its type; `test_recipe.py` has recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.typed import made


@dataclass(frozen=True)
class Inner:
    ms: float
    bins: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None = None
    hashes: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def test_a_table_becomes_the_dataclass_with_what_is_nested_in_it():
    table = {
        "name": "a",
        "inner": {"ms": 2, "bins": {"10": 3}},
        "hashes": {"documents": 8, "corpus": "f"},
        "notes": ["x"],
    }
    assert made(Outer, table, "o") == Outer("a", Inner(2.0, {10: 3}), {"documents": 8, "corpus": "f"}, ("x",))
    assert made(Outer, {"name": "a", "inner": None}, "o") == Outer("a")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "o.name: is missing"),
        ({"name": 3}, "o.name: expected str, got 3"),
        ({"name": "a", "other": 1}, "o.other: no such field; there are hashes, inner, name, notes"),
        ({"name": "a", "inner": []}, "o.inner: expected Inner, got []"),
        ({"name": "a", "inner": {}}, "o.inner.ms: is missing"),
        ({"name": "a", "inner": {"ms": "2"}}, "o.inner.ms: expected float, got '2'"),
        ({"name": "a", "inner": {"ms": 1, "bins": {"x": 1}}}, "o.inner.bins: the key: expected int, got 'x'"),
        ({"name": "a", "inner": {"ms": 1, "bins": {"1": []}}}, "o.inner.bins: '1': expected int, got []"),
        ({"name": "a", "hashes": []}, "o.hashes: expected an object, got []"),
        ({"name": "a", "hashes": {"x": None}}, "o.hashes: 'x': expected str, got None"),
        ({"name": "a", "notes": "x"}, "o.notes: expected a list, got 'x'"),
    ],
)
def test_what_is_of_another_type_is_named(table: dict[str, object], told: str):
    with pytest.raises(InvalidInputError) as error:
        made(Outer, table, "o")
    assert str(error.value) == told
