"""What a word is, and which documents hold some of them one after the other.

A word is a run of letters, digits and underscores, in lower case: `ERR_INVALID_ARG_TYPE` is one. In scripts
that put no spaces between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) every character is a word, so
that a phrase finds a part of a sentence.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.index.filter.nodes import HoldsWords

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


def word_pattern(part: HoldsWords) -> re.Pattern[str]:
    """Finds the words, one directly after the other, in a text in lower case."""
    pieces = []
    for word in part.words:
        alone = not re.match(_ORDINARY, word)
        before, behind = ("", "") if alone else (f"(?<!{_ORDINARY})", f"(?!{_ORDINARY})")
        pieces.append((before, re.escape(word), behind))
    if part.prefix:
        pieces[-1] = (*pieces[-1][:2], "")
    return re.compile(r"\W*".join("".join(piece) for piece in pieces))


def holding(part: HoldsWords, table: pa.Table | None, n_docs: int) -> NDArray[np.bool_]:
    """bool[n_docs]: the documents with these words in one of the text columns; reads all texts."""
    found = np.zeros(n_docs, bool)
    pattern = word_pattern(part)
    ascii_words = [word for word in part.words if word.isascii()]
    longest = max(ascii_words, key=len, default=None)
    for name in TEXT_COLUMNS:
        if table is None or name not in table.column_names:
            continue
        column = table.column(name)
        if not pa.types.is_large_string(column.type):
            continue
        maybe = np.flatnonzero(~found)
        if longest is not None:  # most texts do not hold it at all, which Arrow sees much faster
            hit = pc.fill_null(pc.match_substring(column, longest, ignore_case=True), False)
            maybe = np.flatnonzero(hit.to_numpy() & ~found)
        for i in maybe.tolist():
            text = column[i].as_py()
            found[i] = text is not None and pattern.search(text.lower()) is not None
    return found
