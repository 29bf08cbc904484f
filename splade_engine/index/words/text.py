"""What a word is, and how words that follow one another are found in a text.

A word is a run of letters, digits and underscores, in lower case: `ERR_INVALID_ARG_TYPE` is one. In scripts
that put no spaces between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) every character is a word, so
that a phrase finds a part of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TEXT_COLUMNS = ("title", "text")  # the columns whose words are looked at
# Thai and Lao, Burmese, Khmer, kana, Han
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_ORDINARY = rf"[^\W{_ALONE}]"
_WORD = re.compile(rf"[{_ALONE}]|{_ORDINARY}+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a text, in order, in lower case."""
    text = text.lower()
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def phrase_pattern(words: Sequence[str], *, prefix: bool = False) -> re.Pattern[str]:
    """Finds words, one directly after the other, in lower case; with `prefix` the last may go on."""
    # Each look at `_ORDINARY` costs a millisecond to compile. Between two ordinary words one character that
    # is no part of a word says the same.
    pieces: list[str] = []
    after_ordinary = False
    for word in words:
        ordinary = re.match(_ORDINARY, word) is not None
        if pieces:
            pieces.append(r"\W+" if ordinary and after_ordinary else r"\W*")
        before = f"(?<!{_ORDINARY})" if ordinary and not after_ordinary else ""
        pieces.append(before + re.escape(word))
        after_ordinary = ordinary
    if after_ordinary and not prefix:
        pieces.append(f"(?!{_ORDINARY})")
    return re.compile("".join(pieces))
