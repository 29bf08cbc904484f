"""Which documents hold some words, one directly after the other: by word lists, or by reading texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from splade_engine.index.filter.nodes import HoldsWords
from splade_engine.index.words.lists import WordLists
from splade_engine.index.words.text import TEXT_COLUMNS, holds_phrase, other_forms


def holding(
    part: HoldsWords, table: pa.Table | None, n_docs: int, lists: WordLists | None = None
) -> NDArray[np.bool_]:
    """bool[n_docs]: the documents with these words in one of the text columns.

    Args:
        part: the words.
        table: the payload of a segment.
        n_docs: of the segment.
        lists: its word lists; None: all texts are read.
    """
    if lists is not None:
        found = _listed(part, n_docs, lists)
        return found if len(part.words) == 1 else _read(part, table, found)
    return _read(part, table, np.ones(n_docs, bool))


def _listed(part: HoldsWords, n_docs: int, lists: WordLists) -> NDArray[np.bool_]:
    """The documents that hold all the words, in whatever order."""
    found = np.ones(n_docs, bool)
    last = (part.words[-1], part.prefix)
    # a word a thousand times is looked up once, and no word more where nothing is left
    for word, open_end in dict.fromkeys([*((word, False) for word in part.words[:-1]), last]):
        number = lists.find(word)
        numbers = lists.starting_with(word) if open_end else [number] if number >= 0 else []
        holds = np.zeros(n_docs, bool)
        for number in numbers:
            holds[lists.documents(number)] = True
        found &= holds
        if not found.any():
            break
    return found


def _read(part: HoldsWords, table: pa.Table | None, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of some documents whose texts hold the words one after the other."""
    found = np.zeros(len(among), bool)
    ascii_words = [word for word in part.words if word.isascii()]
    longest = max(ascii_words, key=len, default=None)
    for name in TEXT_COLUMNS:
        if table is None or name not in table.column_names:
            continue
        column = table.column(name)
        if not pa.types.is_large_string(column.type):
            continue
        maybe = among & ~found
        if longest is not None and maybe.all():  # most texts lack it, which Arrow sees much faster
            hit = pc.or_(
                pc.match_substring(column, longest, ignore_case=True),
                pc.match_substring_regex(column, other_forms()),
            )
            maybe = np.asarray(pc.fill_null(hit, False).to_numpy(), dtype=bool)
        for i in np.flatnonzero(maybe).tolist():
            text = column[i].as_py()
            found[i] |= text is not None and holds_phrase(text, part.words, prefix=part.prefix)
    return found
