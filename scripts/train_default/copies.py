"""`Copies`: keeping the texts of test collections out of training data.

A text counts as a copy where it shares 13 words in a row with a test document or a test query: the n-gram
length of the GPT-3 paper's decontamination (arXiv 2005.14165, appendix C). Letters and digits decide, not
case or punctuation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError

GRAM = 13  # words in a row
_WORD = re.compile(r"[^\W_]+")


class Copies:
    """Knows every run of 13 words of some test collections.

    Args:
        folders: BEIR folders: `corpus.jsonl` and `queries.jsonl`, each perhaps compressed.

    Raises:
        DatasetError: naming the folder that holds neither, or the line that is not a text.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._grams: set[int] = set()
        for folder in folders:
            found = [p for name in ("corpus", "queries") for p in sorted(Path(folder).glob(f"{name}.jsonl*"))]
            if not found:
                raise DatasetError(f"{folder}: no corpus.jsonl and no queries.jsonl to stay apart from")
            for path in found:
                for text in _texts(path):
                    self._grams.update(_grams(text))

    def has(self, text: str) -> bool:
        """Whether the text shares 13 words in a row with one of them."""
        return not self._grams.isdisjoint(_grams(text))


def _texts(path: Path) -> Iterator[str]:
    """`title text` of every line."""
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            yield f"{row.get('title') or ''} {row['text']}"
        except (ValueError, KeyError, AttributeError):
            raise DatasetError(f"{path}:{number}: not a JSON object with a text") from None


def _grams(text: str) -> list[int]:
    words = _WORD.findall(text.lower())
    return [hash(" ".join(words[i : i + GRAM])) for i in range(len(words) - GRAM + 1)]
