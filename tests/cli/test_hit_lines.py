"""Where a text is cut for the terminal, and how it is wrapped and highlighted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.cli.hit_lines import highlighted_lines, place_of
from splade_engine.plain_text import columns

TEXTS = st.text("ab \n\t.é漢", max_size=120)


def spans_in(text, numbers):
    return sorted({tuple(sorted((a % (len(text) + 1), b % (len(text) + 1)))) for a, b in numbers})


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5), st.integers(10, 60))
def test_nothing_is_lost_but_white_space(text, numbers, width):
    lines = list(highlighted_lines(text, spans_in(text, numbers), (False, False), width))
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns(line) <= width for line in lines)
    whole = {word for word in text.split() if columns(word) <= width}
    assert whole <= set(" ".join(lines).split()), "a word that fits a line is not cut"


def test_what_was_left_out_is_told():
    assert list(highlighted_lines("moon pulls", (), (True, True), 40)) == ["... moon pulls ..."]
    assert list(highlighted_lines("moon pulls", (), (False, True), 8)) == ["moon", "pulls", "..."]


def test_the_place_of_a_passage_in_its_file():
    assert place_of({"parent": "a.md", "line": 12, "last_line": 40}) == "lines 12-40"
    assert place_of({"parent": "a.pdf", "page": 3, "last_page": 3}) == "page 3"
    assert place_of({"parent": "a", "start_char": 3, "end_char": 9}) == ""
    assert place_of({"line": 12, "last_line": 40}) == ""  # a record's own fields
    assert place_of({"parent": "a", "page": "iv", "last_page": "v"}) == ""
