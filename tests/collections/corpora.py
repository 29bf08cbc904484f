"""Two documents that many formats hold, and what a corpus is refused with."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import DatasetError

EXPECTED = [Document("d1", "green tea", "Tea"), Document("d2", "a coffee, black", "")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def refusal(source: object, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        list(Corpus(source, **options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)
