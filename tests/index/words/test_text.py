"""Phrases are found where each of their words stands alone, however long they are."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from collections.abc import Sequence

import pytest

from splade_engine.index.words import text as module
from splade_engine.index.words.text import _ORDINARY, folded, holds_phrase, places_of, word_pattern, words_of


def as_defined(words: Sequence[str], *, prefix: bool) -> re.Pattern[str]:
    """Every ordinary word with nothing of a word before it and behind it."""
    last = len(words) - 1
    pieces = []
    for i, word in enumerate(words):
        ordinary = re.match(_ORDINARY, word) is not None
        before = f"(?<!{_ORDINARY})" if ordinary else ""
        behind = f"(?!{_ORDINARY})" if ordinary and not (prefix and i == last) else ""
        pieces.append(before + re.escape(word) + behind)
    return re.compile(r"\W*".join(pieces))


@pytest.mark.parametrize("prefix", [False, True])
def test_a_phrase_is_found_exactly_where_its_definition_finds_it(
    prefix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(13)
    n_found = 0
    for _ in range(1000):
        text = "".join(draw.choice("ab_ -日本é!") for _ in range(draw.randint(1, 14)))
        words = words_of("".join(draw.choice("ab 日本é-") for _ in range(draw.randint(1, 6))))
        if not words:
            continue
        pattern = as_defined(words, prefix=prefix)
        expected = [found.span() for found in pattern.finditer(text)]
        for stretch in (1, 3, 1000):
            monkeypatch.setattr(module, "_STRETCH", stretch)
            assert holds_phrase(text, words, prefix=prefix) == bool(expected)
        if len(words) == 1 and not prefix:
            assert [found.span() for found in word_pattern(words[0]).finditer(text)] == expected
        n_found += bool(expected)
    assert n_found > 50


def test_a_phrase_of_ten_thousand_words_costs_no_seconds() -> None:
    """Of the 8,192 characters that a server takes, a quoted phrase took ten seconds to compile."""
    words = words_of("moon tide " * 5000)
    start = time.process_time()
    assert holds_phrase("the " + "moon, tide " * 5000, words)
    assert not holds_phrase("moon tide " * 4999, words)
    assert time.process_time() - start < 5


def test_a_phrase_of_one_word_is_not_tried_anew_at_each_of_them() -> None:
    """Five megabytes of a word took the length of the text times that of the phrase."""
    text = "moon " * 1_000_000
    start = time.process_time()
    assert not holds_phrase(text, ["moon"] * 2000 + ["tide"])
    assert holds_phrase(text + "tide", ["moon"] * 2000 + ["tide"])
    assert holds_phrase(text + "tides", ["moon"] * 2000 + ["tide"], prefix=True)
    assert not holds_phrase(text + "tides", ["moon"] * 2000 + ["tide"])
    assert time.process_time() - start < 20


def test_an_accent_behind_its_letter_is_that_of_the_letter() -> None:
    text = "Ein Caf\u00e9 in Z\u00fcrich, \u1e68\u0061"  # S with a dot above and below
    apart = unicodedata.normalize("NFD", text)
    assert words_of(apart) == words_of(text) == ["ein", "caf\u00e9", "in", "z\u00fcrich", "\u1e69a"]
    assert words_of(apart, form=0) == ["ein", "cafe", "in", "zu", "rich", "s", "a"]
    for given in (text, apart):
        assert holds_phrase(given, words_of("CAFE\u0301 IN"))
        assert holds_phrase(given, ["z\u00fc"], prefix=True)
        assert not holds_phrase(given, ["rich"])


def test_a_stretch_does_not_end_between_a_letter_and_its_accent(monkeypatch: pytest.MonkeyPatch) -> None:
    for stretch in range(1, 40):
        monkeypatch.setattr("splade_engine.index.words.text._STRETCH", stretch)
        text = "ab " * 40 + "Zu\u0308rich " * 3
        assert holds_phrase(text, ["z\u00fcrich"] * 3)
        assert not holds_phrase(text, ["rich"])


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Le CAF\u00c9 noir", ["caf\u00e9"], ["CAF\u00c9"]),
        ("Le CAFE\u0301 noir", ["caf\u00e9"], ["CAFE\u0301"]),  # was not found
        ("cafe\u0301, cafe", ["cafe"], ["cafe"]),  # the second alone: the first is another word
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", ["ti\u1ebfng", "vi\u1ec7t"], None),
        ("co\u00adoperate \ufb01ne", ["cooperate", "fine"], None),
        ("\uff26\uff55\uff4c\uff4c\uff3f\uff29\uff24 \uff12\uff10", ["full_id", "20"], None),
        (
            "ERR_\u200bBAD\u2060_ARG is ba\u200dd",
            ["err_bad_arg", "bad"],
            ["ERR_\u200bBAD\u2060_ARG", "ba\u200dd"],
        ),
        ("\ufefftea \uff76\uff9e tea", ["tea", "\u30ac"], ["tea", "tea", "\uff76\uff9e"]),
        ("\u039f\u0394\u039f\u03a3 \ufb01", ["\u03bf\u03b4\u03bf\u03c2", "fi"], None),
        ("\u0130stanbul, tea and Tea", ["tea"], ["tea", "Tea"]),  # of such a text no word was found
        ("nothing", [], []),
    ],
)
def test_places_of_words(text: str, words: list[str], found: list[str] | None) -> None:
    assert [text[a:b] for a, b in places_of(words, text)] == (text.split() if found is None else found)
    for word in words:
        assert holds_phrase(text, [word])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Java\u2122, 1\u00bd m\u00b2 of H\u2082O",
            ["java", "1\u00bd", "m2", "of", "h2o"],
        ),  # a sign is no letter
        ("\u2163 \U0001d400 \u2f08", ["iv", "a", "\u4eba"]),  # numerals, mathematical letters, radicals
        ("\ufe8d\ufedf\ufe92\ufea4\ufeae", ["\u0627\u0644\u0628\u062d\u0631"]),  # Arabic as some PDF have it
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0b95\u0bbe",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0b95\u0bbe"],
        ),
        ("x\u0323y \u0e44\u0e17\u0e22", ["x\u0323y", "\u0e44", "\u0e17", "\u0e22"]),
        ("mi\u200cxaham \u2764\ufe0f", ["mixaham"]),
    ],
)
def test_words_that_look_alike_are_the_same(text: str, words: list[str]) -> None:
    """Hindi was read without its vowels: other words with the same consonants were found."""
    assert words_of(text) == words == words_of(unicodedata.normalize("NFD", text).upper())
    assert {text[a:b] for a, b in places_of(words, text)} >= {word for word in words if word in text}


def test_a_text_and_its_places_are_folded_alike() -> None:
    """Whatever characters meet: letters of several forms, their accents, and what is not seen."""
    draw = random.Random(7)
    letters = [c for c in map(chr, range(0x20, 0x1F000)) if unicodedata.category(c) not in ("Cs", "Cn", "Co")]
    odd = [c for c in letters if not unicodedata.is_normalized("NFKC", c) or not c.isprintable()]
    for _ in range(3000):
        text = "".join(
            draw.choice(draw.choice((odd, letters, "ab_ \u03a3\u0301\u00ad")))
            for _ in range(draw.randint(1, 12))
        )
        small = folded(text)
        assert folded(small) == small
        pieces = [text[a:b] for a, b in module._pieces(text)]
        assert "".join(pieces) == text
        assert sum(len(folded(piece)) for piece in pieces) == len(small)
