"""Text from outside, made safe for a terminal; and how many columns it takes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_engine.plain_text import columns, cut, left, one_line, right, shortened, splits, without_controls

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("e\u0301a", [2]),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467!", [5]),
        ("\U0001f44d\U0001f3fd!", [2]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", [2]),
        ("1\ufe0f\u20e3 \r\n", [3, 4]),
        ("\u1112\u1161\u11ab\ud55c\uae00", [3, 4]),
        ("\u0928\u093f\u0915\u094d\u0937", [2]),
        ("\u05e9\u05c1\u6f22\uff41", [2, 3]),
    ],
)
def test_where_a_text_may_be_cut(text: str, places: list[int]) -> None:
    assert [at for at in range(1, len(text)) if not splits(text, at)] == places


def test_what_is_too_long_is_cut_between_signs() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert cut(f"ab{family}cdefghijkl", 5) == "ab…"
    assert shortened("e\u0301" * 20, 17) == "e\u0301" * 4 + " ... " + "e\u0301" * 2


@given(st.text())
def test_nothing_is_left_that_moves_hides_or_reorders(text):
    found = without_controls(text)
    assert not set(found) & set(BIDI)
    assert not [c for c in found if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n"]
    found.encode()
    assert without_controls(found) == found
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines", "two lines"),
        ("a\x1b[2Jb", "a [2Jb"),
        ("new\rold", "new old"),
        ("csi \x9b31m", "csi 31m"),
        ("report \u202egnp.exe", "report gnp.exe"),
        ("caf\udce9.txt", "caf\ufffd.txt"),
        ("one\u2028two", "one two"),
        ("na\u00efve 港口 \U0001f469\u200d\U0001f680", "na\u00efve 港口 \U0001f469\u200d\U0001f680"),
        ("\ufdd0marked\ufdd1", "marked"),
    ],
)
def test_what_is_shown(text, shown):
    assert one_line(text) == shown


def test_columns():
    assert columns("abc") == 3
    assert columns("港口") == 4
    assert columns("e\u0301") == 1
    assert left("港", 4) == "港  "
    assert right("港", 4) == "  港"
    assert left("long", 2) == "long"


@given(st.text("ab 漢é", max_size=20), st.integers(1, 12))
def test_cut_fits(text, width):
    found = cut(text, width)
    assert columns(found) <= width
    assert found == text or found.endswith("…")


def test_shortened_keeps_beginning_and_end():
    assert shortened("short", 10) == "short"
    text = "the beginning " + "x" * 5000 + " the end"
    found = shortened(text, 100)
    assert len(found) == 100
    assert found.startswith("the beginning")
    assert found.endswith("the end")
