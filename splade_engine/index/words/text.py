"""What a word is, and how words that follow one another are found in a text.

A word is a run of letters, digits and underscores, in lower case: `ERR_INVALID_ARG_TYPE` is one. A letter
with an accent is one character or two, as macOS and some PDF have it: both are the same. In scripts that put
no spaces between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) every character is a word, so that a
phrase finds a part of a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

TEXT_COLUMNS = ("title", "text")  # the columns whose words are looked at
# Thai and Lao, Burmese, Khmer, kana, Han
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_ORDINARY = rf"[^\W{_ALONE}]"
_WORD = re.compile(rf"[{_ALONE}]|{_ORDINARY}+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)


_EDGE = re.compile(rf"\W|[{_ALONE}]")
_STRETCH = 1 << 20  # characters of a text that are words at a time


def folded(text: str, *, composed: bool = True) -> str:
    """A text in lower case, its letters and their accents in one character each.

    Without `composed` accents stay apart, as in the word lists of earlier releases.
    """
    text = text.lower()
    return text if not composed or text.isascii() else unicodedata.normalize("NFC", text)


def words_of(text: str, *, composed: bool = True) -> list[str]:
    """The words of a text, in order, folded."""
    text = folded(text, composed=composed)
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


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
        edge = _EDGE.search(text, start + stretch)
        stop = len(text) if edge is None else edge.start()
        found = [*shared, *words_of(text[start:stop])]
        if phrase in "\0".join(("", *found, "")):
            return True
        start, shared = stop, found[len(found) - len(words) + 1 :] if len(found) >= len(words) else found
    return False


def places_of(words: Iterable[str], text: str) -> Iterator[tuple[int, int]]:
    """Where words stand in a text, as it is written: with letters of either case, and accents of either form.

    Args:
        words: as `words_of` gives them.
        text: in whatever case.
    """
    small = text.lower()
    if len(small) != len(text):  # a letter that has several in lower case stays, as its place does
        small = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    for word in words:
        for form in dict.fromkeys((word, unicodedata.normalize("NFD", word))):
            for found in word_pattern(form).finditer(small):
                if not unicodedata.combining(small[found.end() : found.end() + 1] or " "):
                    yield found.span()


def word_pattern(word: str) -> re.Pattern[str]:
    """Finds a word in lower case."""
    if re.match(_ORDINARY, word) is None:
        return re.compile(re.escape(word))
    return re.compile(rf"(?<!{_ORDINARY}){re.escape(word)}(?!{_ORDINARY})")
