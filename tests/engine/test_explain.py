"""Explanations: the sum of a score, term by term, and the words behind the terms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.engine.explain import explain
from splade_engine.engine.snippets import READ, snippet
from splade_engine.vectors import SparseVectors

VOCABULARY = [f"t{i}" for i in range(12)]
ROWS = st.dictionaries(st.integers(0, 11), st.floats(0.125, 9, width=32), max_size=12)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_contributions_are_the_dot_product(query, document):
    q, d = (SparseVectors.from_dicts([row], 12) for row in (query, document))
    why = explain("x", q, d, VOCABULARY)
    expected = sum(np.float64(np.float32(query[t])) * np.float32(document[t]) for t in query if t in document)
    assert why.score == pytest.approx(expected)
    assert {m.term for m in why.matches} == {f"t{t}" for t in query if t in document}
    assert [m.contribution for m in why.matches] == sorted(
        (m.contribution for m in why.matches), reverse=True
    )
    assert sum(m.share for m in why.matches) == pytest.approx(1 if why.matches else 0)
    assert {t for t, _ in why.missing} == {f"t{t}" for t in query if t not in document}
    weights = [w for _, w in why.missing]
    assert weights == sorted(weights, reverse=True)


def test_words_come_from_the_spans_once_each_and_in_order():
    def word_spans(text):
        return [(VOCABULARY.index(w), i * 3, i * 3 + 2) for i, w in enumerate(text.split())]

    row = SparseVectors.from_dicts([{1: 1.0, 2: 2.0, 3: 1.0}], 12)
    why = explain("x", row, row, VOCABULARY, "t3 t5", "t1 t2 t1 t7", word_spans)
    assert {m.term: m.words for m in why.matches} == {"t2": ("t2",), "t1": ("t1",), "t3": ("t3",)}
    assert why.title_spans == ((0, 2),)
    assert why.text_spans == ((0, 2), (3, 5), (6, 8))


def test_a_word_ends_behind_its_accents():
    """A tokenizer that strips accents leaves them out of its places: the mark stood before the accent."""
    text = "the cafe\u0301 opens"
    row = SparseVectors.from_dicts([{1: 1.0}], 12)
    why = explain("x", row, row, VOCABULARY, text=text, word_spans=lambda text: [(1, 4, 8)])
    assert (why.matches[0].words, why.text_spans) == (("cafe\u0301",), ((4, 9),))
    assert snippet(text, why.text_spans).marked() == "the **cafe\u0301** opens"


def test_of_a_long_title_and_text_the_beginning_is_looked_at():
    seen = []

    def word_spans(text):
        seen.append(len(text))
        return [(1, 0, 2)]

    row = SparseVectors.from_dicts([{1: 1.0}], 12)
    why = explain("x", row, row, VOCABULARY, "t1 " * 1_000_000, "t1 " * 1_000_000, word_spans)
    assert (seen, why.title_spans, why.text_spans) == ([READ, READ], ((0, 2),), ((0, 2),))


def test_to_dict_is_json(tmp_path):
    import json

    row = SparseVectors.from_dicts([{1: 1.0}], 12)
    content = json.loads(json.dumps(explain("x", row, row, VOCABULARY).to_dict()))
    assert content["matches"][0] == {
        "term": "t1",
        "query_weight": 1.0,
        "document_weight": 1.0,
        "contribution": 1.0,
        "share": 1.0,
        "words": [],
        "expansion": True,
    }
