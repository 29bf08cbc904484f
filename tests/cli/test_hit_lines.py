"""Where a text is cut for the terminal, and how it is wrapped and highlighted."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.cli.hit_lines import best_window, highlighted_lines
from splade_engine.plain_text import columns

TEXTS = st.text("ab \n\t.é漢", max_size=120)


def spans_in(text, numbers):
    return sorted({tuple(sorted((a % (len(text) + 1), b % (len(text) + 1)))) for a, b in numbers})


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5), st.integers(10, 60))
def test_nothing_is_lost_but_white_space(text, numbers, width):
    lines = list(highlighted_lines(text, spans_in(text, numbers), 0, len(text), width))
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns(line) <= width for line in lines)
    whole = {word for word in text.split() if columns(word) <= width}
    assert whole <= set(" ".join(lines).split()), "a word that fits a line is not cut"


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
    lines = list(highlighted_lines(text, (), start, stop, 200))
    assert lines[0].startswith("... ")
    assert lines[-1].endswith(" ...")


def test_the_beginning_is_kept_where_it_is_as_good():
    text = "moon " + "filler " * 100 + "moon"
    assert best_window(text, [(0, 4), (len(text) - 4, len(text))], 100)[0] == 0


def test_the_window_reaches_a_match_in_a_text_without_spaces():
    text = "船" * 1000 + "港口" + "船" * 1000
    start, stop = best_window(text, [(1000, 1002)], 300)
    assert start <= 1000
    assert stop >= 1002
    assert stop - start == 300


def test_a_window_among_many_matches_is_found_quickly():
    text = "sea " * 300_000
    spans = [(place, place + 3) for place in range(0, len(text), 4)]
    start = time.process_time()
    assert best_window(text, spans, 300) == (0, 299)
    assert time.process_time() - start < 2


def test_only_what_is_shown_of_a_text_is_worked_on():
    text = "word " * 4_000_000
    start = time.process_time()
    lines = list(highlighted_lines(text, (), 10_000_000, 10_000_300, 80))
    assert (lines[0][:4], lines[-1][-4:]) == ("... ", " ...")
    assert time.process_time() - start < 0.5
