"""Where a text is cut for the terminal, and how it is wrapped and highlighted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.cli.hit_lines import best_window, highlighted_lines

TEXTS = st.text("ab \n\t.é漢", max_size=120)


def spans_in(text, numbers):
    return sorted({tuple(sorted((a % (len(text) + 1), b % (len(text) + 1)))) for a, b in numbers})


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5), st.integers(10, 60))
def test_nothing_is_lost_but_white_space(text, numbers, width):
    lines = highlighted_lines(text, spans_in(text, numbers), 0, len(text), width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines)


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5), st.integers(45, 90))
def test_the_window_is_within_the_text(text, numbers, length):
    start, stop = best_window(text, spans_in(text, numbers), length)
    assert 0 <= start <= stop <= len(text)
    assert stop - start <= length


def test_the_window_moves_to_where_the_matches_are():
    text = "x" * 50 + " filler" * 60 + " the moon pulls the tide " + "filler " * 60
    places = [text.index("moon"), text.index("tide")]
    start, stop = best_window(text, [(p, p + 4) for p in places], 100)
    assert "moon pulls the tide" in text[start:stop]
    lines = highlighted_lines(text, (), start, stop, 200)
    assert lines[0].startswith("... ")
    assert lines[-1].endswith(" ...")


def test_the_beginning_is_kept_where_it_is_as_good():
    text = "moon " + "filler " * 100 + "moon"
    assert best_window(text, [(0, 4), (len(text) - 4, len(text))], 100)[0] == 0
