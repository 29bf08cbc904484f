"""Bounds of fields, and the comments that document them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.training.fields import bounded, check_fields, chosen, field_comments
from splade_engine.training.mining.config import MiningConfig
from splade_engine.training.recipe import Recipe
from splade_engine.training.recipe.reference import reference
from splade_engine.training.recipe.sections import SourceConfig

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Below:
    # How much,
    # in two lines.
    much: float = bounded(1.0, low=0, high=2)


@dataclass(frozen=True)
class Sample(Below):
    """Two fields of its own."""

    # Which, `a` or `b`.
    which: str = chosen("a", ("a", "b"))
    bare: int = bounded(1, low=1)
    free: float = 1.0

    # A comment that stands above no field.

    def method(self) -> int:
        # and one in a method
        value = 1
        return value


def test_comments_are_those_above_fields():
    assert field_comments(Sample) == {"much": "How much, in two lines.", "which": "Which, `a` or `b`."}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"much": -0.1}, "x.much must be at least 0, got -0.1"),
        ({"much": 2.5}, "x.much must be at most 2, got 2.5"),
        ({"much": math.nan}, "x.much must be at least 0, got nan"),
        ({"which": "c"}, "x.which: 'c' is not one of a, b"),
        ({"bare": 0}, "x.bare must be at least 1, got 0"),
        ({"free": math.inf}, "x.free must be finite, got inf"),
        ({"free": math.nan}, "x.free must be finite, got nan"),
        ({"bare": 10**11}, "x.bare must be at most 2147483647, got 100000000000"),
    ],
)
def test_bounds(values, message):
    with pytest.raises(InvalidInputError, match=f"^{message}$"):
        check_fields(Sample(**values), "x.")
    check_fields(Sample(much=2.0, which="b"), "x.")


@pytest.mark.parametrize(
    "section", [type(getattr(Recipe(), f.name)) for f in fields(Recipe)[2:]] + [SourceConfig, MiningConfig]
)
def test_every_field_is_documented(section):
    said = field_comments(section)
    assert set(said) == {f.name for f in fields(section)}
    assert all(text[0] in "`%" or text[0].isupper() for text in said.values())
    assert all(text.endswith(".") for text in said.values())


def test_the_reference_page_is_the_comments():
    assert (DOCS / "recipe.md").read_text(encoding="utf-8") == reference()
