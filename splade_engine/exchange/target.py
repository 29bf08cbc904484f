"""`Target`: a system that vectors are exported to, and `Export`, what its writer is given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.collections.metadata import METADATA_JSON, metadata_of
from splade_engine.exchange.rounding import EXACT, Rounding
from splade_engine.files import whole_texts
from splade_engine.index import IndexReader
from splade_engine.progress import ProgressBar
from splade_engine.vectors import SparseVectors

BATCH = 2048  # documents read and written at a time


@dataclass(frozen=True)
class Limits:
    """What a system accepts; None: anything that an index can hold."""

    # entries of a document's vector; the heaviest are kept
    document_terms: int | None = None
    # entries of a query's vector
    query_terms: int | None = None
    # terms that occur at all; those in the most documents are kept
    vocabulary: int | None = None
    # bytes of a text that is stored
    text_bytes: int | None = None
    # whether a document without terms is accepted; it would not be found anyway
    empty: bool = True


@dataclass(frozen=True)
class Target:
    """A system, one row of the table in `targets/__init__.py`."""

    # as in `export --to`
    name: str
    # how it calls itself, and the version that the files are for
    title: str
    # writes everything but the README and the record
    write: Callable[[Export], None]
    # text of the README: commands; {index} stands for the name of the collection to make
    readme: str
    limits: Limits = Limits()
    # how weights of documents and of queries are kept, given what is exported
    roundings: Callable[[Largest], tuple[Rounding, Rounding]] = lambda largest: (EXACT, EXACT)
    # whether terms are written as the encoder's tokens
    tokens: bool = False
    # whether the files are of no use without queries
    needs_queries: bool = False


@dataclass(frozen=True)
class Largest:
    """What a rounding may depend on."""

    # the largest weight of a document, and of a query (0 without queries)
    document: float
    query: float
    # what the caller wants whole numbers to be multiples of: 100 keeps two decimals
    scale: float


@dataclass(frozen=True)
class Batch:
    """Some documents, within the limits of the target."""

    ids: list[str]
    # weights as they are in the index; `Export.documents` says what the target makes of them
    vectors: SparseVectors
    # title and text, where the index holds them, and the other fields as `metadata`, where there are any
    fields: list[dict[str, Any]]

    def __iter__(self) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32], dict[str, Any]]]:
        """(id, terms, weights, stored fields) of each document."""
        for id, (terms, weights), fields in zip(self.ids, self.vectors, self.fields, strict=True):
            yield id, terms, weights, fields


@dataclass
class Export:
    """What is exported, and where to."""

    folder: Path
    reader: IndexReader
    limits: Limits
    # as the target keeps weights
    documents: Rounding
    queries: Rounding
    # name of each term: the encoder's token, or its number
    names: Sequence[str]
    query_ids: list[str]
    # weighed for this collection, and within the limits
    query_vectors: SparseVectors
    # hits that a query asks for
    k: int
    # name for the collection, made of the folder's
    name: str
    bar: ProgressBar
    # bool[n_terms]: terms that may be exported; None: all
    allowed: NDArray[np.bool_] | None = None
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self.reader.n_terms

    @property
    def lost_entries(self) -> int:
        """Entries that were cut or rounded to nothing."""
        return sum(n for what, n in self.lost.items() if what.startswith("entries"))

    def batches(self) -> Iterator[Batch]:
        """The documents in order, cut to the limits; what is cut is counted in `lost`."""
        ordinals = self.reader.snapshot.live_ordinals()
        for first in range(0, len(ordinals), BATCH):
            part = ordinals[first : first + BATCH]
            vectors = self.within_limits(self.reader.vectors(part))
            rows = self.reader.payload(part)
            ids = self.reader.ids(part)
            if not self.limits.empty and (vectors.row_nnz == 0).any():
                filled = np.flatnonzero(vectors.row_nnz > 0)
                self.lost["documents without terms"] += len(part) - len(filled)
                vectors = vectors[filled]
                ids, rows = [ids[i] for i in filled], [rows[i] for i in filled]
            yield Batch(ids, vectors, [self._fields(row) for row in rows])
            self.bar.advance(len(part))

    def within_limits(self, vectors: SparseVectors) -> SparseVectors:
        """The vectors with no more entries than the target takes."""
        if self.allowed is not None:
            kept = without_terms(vectors, self.allowed)
            self.lost["entries of terms beyond the limit"] += vectors.nnz - kept.nnz
            vectors = kept
        most = self.limits.document_terms
        if most is not None and (vectors.row_nnz > most).any():
            self.lost["documents with too many terms"] += int((vectors.row_nnz > most).sum())
            kept = vectors.top_k(most)
            self.lost["entries beyond the limit"] += vectors.nnz - kept.nnz
            vectors = kept
        if not self.documents.exact:
            self.lost["entries rounded to nothing"] += int((self.documents.kept(vectors.weights) <= 0).sum())
        return vectors

    def _fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name in ("title", "text"):
            if row.get(name):
                fields[name] = self._text(row[name])
        metadata = metadata_of(row)
        if "\\ud" in (row.get(METADATA_JSON) or ""):  # a half of a pair is in no typed column
            given, metadata = metadata, whole_texts(metadata)
            self.lost["halves of surrogate pairs, which are no text: replaced"] += metadata != given
        return {**fields, "metadata": metadata} if metadata else fields

    def _text(self, text: str) -> str:
        most = self.limits.text_bytes
        if most is None or len(text) * 4 <= most or len(text.encode()) <= most:
            return text
        self.lost["texts cut"] += 1
        return text.encode()[:most].decode("utf-8", "ignore")

    def fit_queries(self) -> None:
        """Cut the queries to the limits; those without terms are left out where the target takes none."""
        most = self.limits.query_terms
        if most is not None:
            self.lost["queries with too many terms"] += int((self.query_vectors.row_nnz > most).sum())
            self.query_vectors = self.query_vectors.top_k(most)
        filled = np.flatnonzero(self.query_vectors.row_nnz > 0)
        if not self.limits.empty and len(filled) < len(self.query_ids):
            self.lost["queries without terms"] += len(self.query_ids) - len(filled)
            self.query_vectors = self.query_vectors[filled]
            self.query_ids = [self.query_ids[i] for i in filled]

    def asked(self) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
        """(id, terms, weights) of each query."""
        for id, (terms, weights) in zip(self.query_ids, self.query_vectors, strict=True):
            yield id, terms, weights

    def named(self, terms: NDArray[np.int32], weights: NDArray[np.float32]) -> dict[str, float]:
        """{name of a term: weight}, numbers as short as float32 allows."""
        pairs = zip(terms.tolist(), shortest(weights), strict=True)
        return {self.names[term]: weight for term, weight in pairs}

    def numbered(self, terms: NDArray[np.int32], weights: NDArray[np.float32]) -> dict[str, float]:
        """{number of a term, as text: weight}."""
        pairs = zip(terms.tolist(), shortest(weights), strict=True)
        return {str(term): weight for term, weight in pairs}

    def whole(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], rounding: Rounding
    ) -> dict[str, int]:
        """{name of a term: whole number}, without those that are rounded to 0."""
        numbers = rounding.kept(weights).astype(np.int64).tolist()
        return {self.names[t]: n for t, n in zip(terms.tolist(), numbers, strict=True) if n > 0}

    def json(self, name: str, value: Any) -> None:
        """Write a small JSON file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def text(self, name: str, content: str) -> None:
        """Write a small text file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    @contextmanager
    def lines(self, name: str) -> Iterator[Callable[[Any], None]]:
        """Write a file of JSON lines; the block calls what it gets with each value."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda value: _line(file, value)

    def query_lines(self, body: Callable[[NDArray[np.int32], NDArray[np.float32]], Any]) -> None:
        """Write `queries.jsonl`: an id and the body of a request a line. Nothing without queries."""
        if self.query_ids:
            with self.lines("queries.jsonl") as write:
                for id, terms, weights in self.asked():
                    write({"id": id, "body": body(terms, weights)})


def _line(file: IO[str], value: Any) -> None:
    file.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")


def shortest(weights: NDArray[np.float32]) -> list[float]:
    """The shortest decimals that are the same float32."""
    return [float(text) for text in weights.astype("U32").tolist()]


def without_terms(vectors: SparseVectors, allowed: NDArray[np.bool_]) -> SparseVectors:
    """The vectors without the entries of terms that are not allowed."""
    mask = Rounding("", lambda weights: np.where(allowed[vectors.terms], weights, np.float32(0)))
    return mask.vectors(vectors)


def safe_names(vocabulary: Sequence[str] | None, n_terms: int, unsafe: str = ".") -> list[str]:
    """A name for each term: its token, where that is not empty and holds no character of `unsafe`.

    Others are called by their number, `_1012`, with as many underscores as make it unlike any token.
    """
    if vocabulary is None:
        return [str(term) for term in range(n_terms)]
    known = set(vocabulary)
    names = []
    for term, token in enumerate(vocabulary):
        name = token
        if not token or any(c in token for c in unsafe) or any(ord(c) < 32 for c in token):
            name = f"_{term}"
            while name in known:
                name = "_" + name
        names.append(name)
    return names
