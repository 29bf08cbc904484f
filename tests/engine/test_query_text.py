"""What is read in a query, and what stays plain text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.engine.query_text import QueryText, read_query, shown
from splade_engine.errors import InvalidInputError
from splade_engine.index.words.text import holds_phrase, words_of


@pytest.mark.parametrize(
    "query",
    [
        "",
        "how do tides work",
        "C++ and c#",
        "1 + 1",
        "+49 30 1234",
        "-5 degrees",
        "tar -x",
        "ls -la",
        "git commit --amend",
        "well-known state-of-the-art",
        'a 3.5" disk',
        'the 3" and 5" disks',
        '""',
        '" "',
        '"..."',
        "a - b",
        "x+y",
        "-",
        "+",
        "it's",
    ],
)
def test_plain_queries_stay_as_they_are(query):
    assert read_query(query) == QueryText(query)


@pytest.mark.parametrize(
    ("query", "text", "must", "must_not"),
    [
        ("refund -Atlas", "refund", [], ["atlas"]),
        ("+Refund money", "Refund money", ["refund"], []),
        ('"Money back" refund', "Money back refund", ['"money back"'], []),
        ('get my "money back"?', "get my money back?", ['"money back"'], []),
        ('-"money back" refund', "refund", [], ['"money back"']),
        ('+"money back"', "money back", ['"money back"'], []),
        ("+os.path join", "os.path join", ['"os path"'], []),
        ("+ERR_INVALID_ARG_TYPE", "ERR_INVALID_ARG_TYPE", ["err_invalid_arg_type"], []),
        ("refund -atlas, +now.", "refund now.", ["now"], ["atlas"]),
        ("+refund*", "refund", ["refund*"], []),
        ("+a +a", "a a", ["a"], []),
        ("-atlas", "", [], ["atlas"]),
        ("+港口", "港口", ['"港 口"'], []),
        ("“money back”", "money back", ['"money back"'], []),
    ],
)
def test_operators(query, text, must, must_not):
    read = read_query(query)
    assert read.text == text
    assert [shown(part) for part in read.must] == must
    assert [shown(part) for part in read.must_not] == must_not


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read(query):
    read = read_query(query)
    assert isinstance(read.text, str)
    if not (read.must or read.must_not):
        assert read.text == query


WORD = st.text("ab_1é漢字", min_size=1, max_size=3)


@settings(max_examples=400, deadline=None)
@given(st.text("ab_1é漢字 .-", max_size=30), WORD, st.lists(WORD, max_size=2), st.booleans())
def test_words_follow_one_another_as_their_lists_do(text, first, more, prefix):
    wanted = words_of(" ".join([first, *more]))
    there = words_of(text)
    starts = range(len(there) - len(wanted) + 1)
    same = [there[i : i + len(wanted)] == wanted for i in starts]
    begun = [
        there[i : i + len(wanted) - 1] == wanted[:-1] and there[i + len(wanted) - 1].startswith(wanted[-1])
        for i in starts
    ]
    found = holds_phrase(text, wanted, prefix=prefix)
    assert found == any(begun if prefix else same)


@pytest.mark.parametrize("sign", ["+tide ", "-tide ", '"low tide" '])
def test_a_query_of_countless_signs_is_refused(sign):
    """Three million took more than a minute."""
    few = read_query(sign * 1000)
    assert len(few.must) + len(few.must_not) == 1
    with pytest.raises(InvalidInputError, match="query: more than 1,000 words and phrases with a sign"):
        read_query(sign * 100_000)
