"""A small invented collection, and an encoder of words that needs no model."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from splade_engine.vectors import SparseVectors
from tests.tiny_bert import SPECIAL

DOCUMENTS = {
    "tea": ("Green tea", "leaves of green tea are steamed and dried before they brown"),
    "coffee": ("Coffee", "beans of coffee are roasted until they brown and ground before brewing"),
    "bridge": ("Rope bridge", "the rope bridge over the gorge sways when the wind blows"),
    "wind": ("", "a strong wind blows over the gorge in the evening"),
    "clock": ("Tower clock", "the clock of the tower strikes every hour, also at night"),
    "owl": ("", "an owl hunts at night and rests by day in the old tower"),
    "bread": ("Bread", "bread rises in a warm place for an hour before it is baked"),
    "oven": ("", "the oven must be hot before bread is baked in it"),
}
QUERIES = {
    "q1": "how is green tea dried",
    "q2": "bridge in the wind",
    "q3": "what strikes at night in the tower",
    "q4": "baked bread",
    "q5": "zzz qqq",
    "q6": "roasted beans",
}
QRELS = {
    "q1": {"tea": 2, "coffee": 0},
    "q2": {"bridge": 2, "wind": 1},
    "q3": {"clock": 1, "owl": 1},
    "q4": {"bread": 1, "oven": 2},
    "q5": {"owl": 1},
}


def words_of(*texts: str) -> set[str]:
    """Lower-case words, each once."""
    return {word for text in texts for word in re.findall(r"\w+", text.lower())}


class WordEncoder:
    """Bag of words over a hashed vocabulary of 4,096 terms; weights 1 for documents and queries."""

    n_terms = 4096
    max_length = 512

    def __init__(self, name: str = "words", weight: float = 1.0) -> None:
        self.name = name
        self.weight = weight
        self.query_table = np.full(self.n_terms, weight, np.float32)
        self.encoded = 0

    @property
    def vocabulary(self) -> list[str]:
        return [f"t{i}" for i in range(self.n_terms)]

    def _encode(self, texts: Sequence[str]) -> SparseVectors:
        rows = [{zlib.crc32(w.encode()) % self.n_terms: self.weight for w in words_of(t)} for t in texts]
        return SparseVectors.from_dicts(rows, self.n_terms)

    def encode_documents(self, texts: Sequence[str], **options: object) -> SparseVectors:
        self.encoded += len(texts)
        return self._encode(texts)

    def encode_queries(self, texts: Sequence[str], **options: object) -> SparseVectors:
        return self._encode(texts)

    def word_spans(self, text: str) -> list[tuple[int, int, int]]:
        found = re.finditer(r"\w+", text)
        return [(zlib.crc32(m[0].lower().encode()) % self.n_terms, m.start(), m.end()) for m in found]

    def fingerprint(self) -> dict[str, str | int]:
        return {"name": self.name, "hash": f"words-{self.weight}", "n_terms": self.n_terms}

    def __str__(self) -> str:
        return self.name


def write_collection(
    folder: Path,
    documents: dict[str, tuple[str, str]] = DOCUMENTS,
    queries: dict[str, str] = QUERIES,
    qrels: dict[str, dict[str, dict[str, int]]] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": i, "title": t, "text": x}) for i, (t, x) in documents.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    lines = [json.dumps({"_id": i, "text": x}) for i, x in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "qrels").mkdir(exist_ok=True)
    for split, judged in (qrels or {"test": QRELS}).items():
        rows = [f"{q}\t{d}\t{g}" for q, grades in judged.items() for d, g in grades.items()]
        text = "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text)
    return folder


@pytest.fixture
def invented() -> SimpleNamespace:
    """What test modules need of this file (they cannot import it)."""
    return SimpleNamespace(
        write=write_collection,
        documents=DOCUMENTS,
        queries=QUERIES,
        qrels=QRELS,
        vocabulary=[*SPECIAL, *sorted(words_of(*(text for pair in DOCUMENTS.values() for text in pair)))],
        WordEncoder=WordEncoder,
    )


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "invented")


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def shared_ir(shared_data: Path) -> Path:
    """The folder of real test collections."""
    return shared_data / "ir"
