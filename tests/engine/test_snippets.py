"""Which stretch of a text is shown, and that no more than its beginning is read."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine import SearchEngine
from splade_engine.engine.snippets import READ, Snippet, best_window, snippet
from splade_engine.engine.standing import explain_document
from splade_engine.server import answers
from tests.fake_encoder import FakeEncoder

TEXTS = st.text("ab \n\t.é漢", max_size=120)


def spans_in(text, numbers):
    return sorted({tuple(sorted((a % (len(text) + 1), b % (len(text) + 1)))) for a, b in numbers})


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5), st.integers(1, 90))
def test_the_window_is_within_the_text(text, numbers, length):
    start, stop = best_window(text, spans_in(text, numbers), length)
    assert 0 <= start <= stop <= len(text)
    assert stop - start <= length


def test_the_window_moves_to_where_the_matches_are():
    text = "x" * 50 + " filler" * 60 + " the moon pulls the tide " + "filler " * 60
    places = [text.index("moon"), text.index("tide")]
    shown = snippet(text, [(p, p + 4) for p in places], 100)
    assert "moon pulls the tide" in shown.text
    assert shown.cut == (True, True)
    assert [shown.text[a:b] for a, b in shown.spans] == ["moon", "tide"]
    assert text[shown.start :].startswith(shown.text)


def test_the_beginning_is_kept_where_it_is_as_good():
    text = "moon " + "filler " * 100 + "moon"
    assert best_window(text, [(0, 4), (len(text) - 4, len(text))], 100)[0] == 0


def test_the_window_reaches_a_match_in_a_text_without_spaces():
    text = "船" * 1000 + "港口" + "船" * 1000
    start, stop = best_window(text, [(1000, 1002)], 300)
    assert start <= 1000
    assert stop >= 1002
    assert stop - start == 300


WOMAN = "\U0001f469\u200d\U0001f680"  # an astronaut, of three characters


@pytest.mark.parametrize(
    "sign",
    [
        WOMAN,
        "e\u0301",
        "\U0001f44d\U0001f3fd",
        "\U0001f1e9\U0001f1ea",
        "\u0915\u094d\u0937\u093f",
        "\u1112\u1161\u11ab",
    ],
)
def test_what_is_shown_as_one_character_is_not_cut(sign):
    text = sign * 1200
    for match in range(1000 // len(sign), 1020 // len(sign)):
        for length in range(50, 62):
            first = match * len(sign)
            start, stop = best_window(text, [(first, first + len(sign))], length)
            assert start % len(sign) == stop % len(sign) == 0
            assert length - 2 * len(sign) < stop - start <= length
            assert start <= first < stop


def test_a_sign_longer_than_the_window_is_cut():
    assert best_window("e" + "\u0301" * 50, [], 9) == (0, 9)


def test_a_window_among_many_matches_is_found_quickly():
    text = "sea " * 300_000
    spans = [(place, place + 3) for place in range(0, len(text), 4)]
    start = time.process_time()
    assert best_window(text, spans, 300) == (0, 299)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("length", [20, 45, 100, 1000])
def test_the_snippet_holds_the_densest_stretch(length):
    text = "filler words here " * 20 + "match match match " + "more filler " * 30
    spans = [(i, i + 5) for i in range(len(text)) if text.startswith("match", i)]
    shown = snippet(text, spans, length)
    assert len(shown.text) <= length
    assert all(shown.text[a:b] == "match" for a, b in shown.spans)
    assert len(shown.spans) == (3 if length > 60 else max(1, len(shown.spans)))
    assert shown.cut == (shown.start > 0, shown.start + len(shown.text) < len(text.rstrip()))


def test_odd_texts():
    assert len(snippet("x" * 5000, [(4000, 4010)], 100).text) <= 100
    assert snippet("x" * 5000, [(4000, 4010)], 100).spans
    assert snippet("", [], 100) == Snippet("", 0, (), (False, False))
    assert snippet("moon", [], 100, more=True).cut == (False, True)


def test_marked():
    shown = Snippet("the moon and the sea", 5, ((4, 8), (17, 20)), (True, False))
    assert shown.marked() == "... the **moon** and the **sea**"
    assert shown.marked("<", ">") == "... the <moon> and the <sea>"


@pytest.fixture(scope="module")
def long_engine(tmp_path_factory):
    documents = [
        {"id": "long", "title": "Long", "text": "moon sea " * (100_000_000 // 9)},
        {"id": "short", "text": "The moon.", "year": 1999},
    ]
    import os

    os.environ["SPLADE_ENGINE_MAX_DOCUMENT_BYTES"] = "200000000"
    try:

        class First(FakeEncoder):
            """Reads the first words, as encoders do."""

            def word_spans(self, text):
                return super().word_spans(text[:1000])

        return SearchEngine.build(tmp_path_factory.mktemp("long") / "ix", documents, First())
    finally:
        del os.environ["SPLADE_ENGINE_MAX_DOCUMENT_BYTES"]


def test_of_a_text_of_100_megabytes_only_the_beginning_is_read(long_engine):
    hits = long_engine.search("moon sea")
    assert [hit.id for hit in hits] == ["long", "short"]
    tracemalloc.start()
    started = time.process_time()
    shown = hits[0].snippet(200)
    assert (hits[0].title, hits[1].metadata) == ("Long", {"year": 1999})
    assert "moon" in hits._repr_html_()
    spent, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shown.text.startswith("moon sea moon")
    assert shown.cut == (False, True)
    assert len(shown.text) <= 200
    assert spent < 1
    assert peak < 20 * READ


def test_of_a_text_of_100_megabytes_that_is_no_hit_the_beginning_is_explained(long_engine):
    tracemalloc.start()
    place, why, _ = explain_document(long_engine, "moon", "long", where="year = 1999")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (place.reason, why.matches[0].words[:2]) == ("filtered", ("moon",))
    assert why.text_spans[-1][1] <= READ
    assert peak < 20 * READ


def test_what_the_server_says_of_fields_and_neighbours_reads_no_text(long_engine):
    tracemalloc.start()
    described = answers.fields("ix", long_engine)["fields"]
    beside = answers.document("ix", long_engine, "short", neighbours=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert described == [{"name": "year", "type": "int", "least": 1999, "most": 1999}]
    assert beside["before"] == [{"id": "long", "title": "Long"}]
    assert peak < 20 * READ
