"""What a word is, and how words that follow one another are found in a text.

A word is a run of letters, digits and underscores, with the accents and vowel signs behind them, in lower
case: `ERR_INVALID_ARG_TYPE` is one. What looks alike is the same: a letter with an accent in one character or
two, as macOS and some PDF have it; ligatures, full-width letters and other forms of letters and digits; a
word with and without soft hyphens and other characters that are not seen. In scripts that put no spaces
between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) every character is a word, so that a phrase finds
a part of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

TEXT_COLUMNS = ("title", "text")  # the columns whose words are looked at
# how words are folded. Word lists keep what they were made with: 0 left accents apart, 1 joined them
FORM = 2
# Thai and Lao, Burmese, Khmer, kana, Han
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Unicode's Default_Ignorable_Code_Point: soft hyphens, joiners, direction marks, variation selectors
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ORDINARY = rf"[^\W{_ALONE}]"
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_ASCII_EDGE = re.compile(r"\W", re.ASCII)
_EARLIER_WORD = re.compile(rf"[{_ALONE}]|{_ORDINARY}+")  # of forms 0 and 1, which ended at a mark
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_STRETCH = 1 << 20  # characters of a text that are words at a time


def folded(text: str, *, form: int = FORM) -> str:
    """A text in lower case and in one of the forms of its letters, so that words can be compared."""
    if text.isascii():
        return text.lower()
    if form == FORM:
        text = _HIDDEN.sub("", text)
        if not unicodedata.is_normalized("NFKC", text):
            text = text.translate(_FORMS)
    text = text.lower()
    return unicodedata.normalize("NFC", text) if form else text


def words_of(text: str, *, form: int = FORM) -> list[str]:
    """The words of a text, in order, folded."""
    text = folded(text, form=form)
    if form == FORM:
        return _found(text)
    return (_ASCII_WORD if text.isascii() else _EARLIER_WORD).findall(text)


def _found(text: str) -> list[str]:
    """The words of a folded text."""
    return (_ASCII_WORD if text.isascii() else _word()).findall(text)


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[{_ALONE}]|{_ORDINARY}{_inside()}*")


@cache
def _edge() -> re.Pattern[str]:
    """A character that no word goes on with."""
    return re.compile(f"(?!{_inside()}).", re.DOTALL)


@cache
def _inside() -> str:
    """What a word goes on with behind its first letter: letters, digits, accents and vowel signs."""
    marks = (c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.category(c) in ("Mn", "Mc"))
    alone = re.compile(f"[{_ALONE}]")
    return rf"(?:{_ORDINARY}|[{''.join(c for c in marks if not alone.match(c))}])"


class _Forms(dict[int, str]):
    """For `str.translate`: of each letter and digit its ordinary form, filled as they are met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _ordinary(chr(code))
        return found


def _ordinary(letter: str) -> str:
    """What Unicode calls compatible with a letter or digit: `fi` of its ligature, A of its wide form.

    Signs stay, and what would be more than letters: Java\u2122 is no word "javatm", and 1\u00bd not 11/2.
    """
    form = unicodedata.normalize("NFKC", letter)
    if unicodedata.category(letter)[0] == "S" and len(form) > 1:
        return letter
    is_word = all(c.isalnum() or c == "_" or unicodedata.category(c) in ("Mn", "Mc") for c in form)
    return form if is_word else letter


_FORMS = _Forms()


@cache
def other_forms() -> str:
    """A class of RE2: whatever may stand for letters and digits of ASCII, or unseen within them."""
    made_of_others = filter(unicodedata.decomposition, map(chr, range(0x80, 0x20000)))
    kept = [c for c in made_of_others if any(map(str.isascii, _ordinary(c)))]
    return f"[{''.join(kept)}{_UNSEEN}]"


def holds_phrase(text: str, words: Sequence[str], *, prefix: bool = False) -> bool:
    """Whether a text holds some words, one directly after the other; with `prefix` the last may go on.

    The time is that of reading the text, whatever the words: a pattern of one word again and again would be
    tried anew at each of them. A stretch of the text is held as words at a time, and behind it comes the next
    with the words that a phrase may have begun in.

    Args:
        text: in whatever case.
        words: as `words_of` gives them, at least one.
        prefix: whether the last one may go on: "refund" stands for "refunds" too.
    """
    phrase = "\0".join(("", *words)) + ("" if prefix else "\0")
    stretch = max(_STRETCH, 4 * len(phrase))  # so that what stretches share stays a part of them
    text = folded(text)  # as a whole: a stretch must not end between a letter and its accent
    start = 0
    shared: list[str] = []
    while start < len(text):
        edge = (_ASCII_EDGE if text.isascii() else _edge()).search(text, start + stretch)
        stop = len(text) if edge is None else edge.start()
        found = [*shared, *_found(text[start:stop])]
        if phrase in "\0".join(("", *found, "")):
            return True
        start, shared = stop, found[len(found) - len(words) + 1 :] if len(found) >= len(words) else found
    return False


def places_of(words: Iterable[str], text: str) -> Iterator[tuple[int, int]]:
    """Where words stand in a text, as it is written: whichever way `folded` makes the same of it.

    Args:
        words: as `words_of` gives them.
        text: in whatever case.
    """
    small = folded(text)
    starts: Sequence[int] = range(len(small))
    ends: Sequence[int] = range(1, len(small) + 1)
    if text.lower() != small or len(text) != len(small):
        pieces = list(_pieces(text))
        sizes = [len(folded(text[start:end])) for start, end in pieces]
        starts = [start for (start, _), size in zip(pieces, sizes, strict=True) for _ in range(size)]
        ends = [end for (_, end), size in zip(pieces, sizes, strict=True) for _ in range(size)]
    for word in words:
        for found in word_pattern(word).finditer(small):
            yield starts[found.start()], ends[found.end() - 1]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """The letters of a text with all that is folded with them: accents, and characters that are not seen."""
    start = 0
    for place, letter in enumerate(text):
        if place and not _goes_with(letter):
            yield start, place
            start = place
    if text:
        yield start, len(text)


@cache
def _goes_with(letter: str) -> bool:
    """Whether a character is folded with the one before it."""
    if _HIDDEN.match(letter):
        return True
    form = _ordinary(letter)
    return unicodedata.category(form[0])[0] == "M" or "\u1160" <= form[0] <= "\u11ff"


def word_pattern(word: str) -> re.Pattern[str]:
    """Finds a word in a folded text."""
    if re.match(_ORDINARY, word) is None:
        return re.compile(re.escape(word))
    return re.compile(rf"(?<!{_inside()}){re.escape(word)}(?!{_inside()})")
