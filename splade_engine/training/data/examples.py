"""`Example`: one training row, and how JSON rows of the formats in use become one.

    pairs         {"query": ..., "positive": ...}                          also "anchor", "document",
    "passage" triples       {"query": ..., "positive": ..., "negative": ...}         also "negatives": [...],
    "negative_1": ... scored lists  {"query": ..., "documents": [...], "scores": [...]}      best score first
    is the positive with a label  {"query", "document", "label"} or a triple whose label is the teacher's
    margin ids           "query_id", "positive_id(s)", "negative_ids", "document_ids" in place of the texts,
                  looked up in a corpus and a queries file; also "qid", "pos", "neg": {system: [ids]}, the
                  layout of the MS MARCO hard negatives that sentence-transformers publishes

A text is a string or an object with `title` and `text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splade_engine.errors import DatasetError

Lookup = Callable[[str, str, str], str]  # (id, place, what) -> text

_QUERY = ("query", "anchor", "question")
_QUERY_ID = ("query_id", "qid")
_POSITIVE = ("positive", "positives", "document", "passage", "answer")
_POSITIVE_ID = ("positive_id", "positive_ids", "document_id", "pos")
_NEGATIVE = ("negative", "negatives")
_NEGATIVE_ID = ("negative_id", "negative_ids", "neg")


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its documents.

    Attributes:
        query: the query's text.
        positives: at least one relevant text.
        negatives: texts that are not relevant, perhaps none.
        scores: a teacher's score of every positive, then of every negative; None where the row has none.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None


def example_from_record(
    record: dict[str, Any], place: str, query_text: Lookup | None = None, document_text: Lookup | None = None
) -> Example:
    """Read one row in any of the layouts above.

    Args:
        record: the JSON object.
        place: `file:line`, begins the error message.
        query_text, document_text: look ids up; None where no such file was given.

    Raises:
        DatasetError: naming the field that is missing or has the wrong type, or the id that is not found.
    """
    row = _Row(record, place, query_text, document_text)
    query = row.one("query", _QUERY, _QUERY_ID, query_text)
    if any(key in record for key in ("documents", "document_ids")):
        return row.scored_list(query)
    positives = row.many(_POSITIVE, _POSITIVE_ID)
    if not positives:
        raise DatasetError(f"{place}: the field positive is missing (or document, passage, positive_id)")
    negatives = row.many(_NEGATIVE, _NEGATIVE_ID)
    numbered = sorted(key for key in record if key.startswith("negative_") and key[9:].isdigit())
    negatives += tuple(row.text(record[key], key) for key in numbered)
    return Example(query, positives, negatives, row.scores(len(positives), len(negatives)))


class _Row:
    def __init__(
        self, record: dict[str, Any], place: str, query_text: Lookup | None, document_text: Lookup | None
    ) -> None:
        self.record, self.place = record, place
        self.query_text, self.document_text = query_text, document_text

    def one(self, what: str, names: tuple[str, ...], ids: tuple[str, ...], lookup: Lookup | None) -> str:
        for name in names:
            if name in self.record:
                return self.text(self.record[name], name)
        for name in ids:
            if name in self.record:
                return self.look_up(self.record[name], name, what, lookup)
        raise DatasetError(f"{self.place}: the field {what} is missing (or {', '.join(names[1:] + ids)})")

    def many(self, names: tuple[str, ...], ids: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name in self.record:
                value = self.record[name]
                return tuple(self.text(v, name) for v in (value if isinstance(value, list) else [value]))
        for name in ids:
            if name in self.record:
                return tuple(
                    self.look_up(v, name, "document", self.document_text) for v in _flat(self.record[name])
                )
        return ()

    def scored_list(self, query: str) -> Example:
        texts = self.many(("documents",), ("document_ids",))
        scores = self.numbers(len(texts))
        if not texts or scores is None:
            raise DatasetError(f"{self.place}: a list of documents needs scores, one for each")
        order = sorted(range(len(texts)), key=lambda i: -scores[i])
        best, *rest = order
        return Example(query, (texts[best],), tuple(texts[i] for i in rest), tuple(scores[i] for i in order))

    def scores(self, n_positives: int, n_negatives: int) -> tuple[float, ...] | None:
        n = n_positives + n_negatives
        value = next(
            (self.record[k] for k in ("scores", "labels", "score", "label") if k in self.record), None
        )
        if value is not None and not isinstance(value, list) and n == 2 and n_negatives == 1:
            return (self.number(value, "label"), 0.0)  # a margin: only differences count
        return self.numbers(n)

    def numbers(self, n: int) -> tuple[float, ...] | None:
        for name in ("scores", "labels", "score", "label"):
            if name in self.record:
                value = self.record[name]
                values = value if isinstance(value, list) else [value]
                if len(values) != n:
                    raise DatasetError(f"{self.place}: {len(values)} {name} for {n} documents")
                return tuple(self.number(v, name) for v in values)
        return None

    def number(self, value: object, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DatasetError(f"{self.place}: {name} {value!r} is not a number")
        return float(value)

    def text(self, value: object, name: str) -> str:
        if isinstance(value, dict):
            value = f"{value.get('title') or ''} {value.get('text') or ''}".strip()
        if not isinstance(value, str):
            raise DatasetError(f"{self.place}: {name} must be a text, got {type(value).__name__}")
        if not value.strip():
            raise DatasetError(f"{self.place}: {name} is empty")
        return value

    def look_up(self, value: object, name: str, what: str, lookup: Lookup | None) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DatasetError(f"{self.place}: {name} must be an id, got {type(value).__name__}")
        if lookup is None:
            which = "queries" if what == "query" else "corpus"
            raise DatasetError(f"{self.place}: {name} {value!r} is an id, but no {which} file was given")
        return lookup(str(value), self.place, what)


def _flat(value: Any) -> list[Any]:
    """Ids of one, of a list, or of {system: list}; every id once, in order."""
    if isinstance(value, dict):
        value = [v for ids in value.values() for v in (ids if isinstance(ids, list) else [ids])]
    values = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(values))
