"""`Example`: one training row, and how JSON rows of the formats in use become one.

- pairs: `{"query": ..., "positive": ...}`; also `anchor`, `document`, `passage`;
- triples: `{"query": ..., "positive": ..., "negative": ...}`; also `"negatives": [...]`, `"negative_1": ...`;
- scored lists: `{"query": ..., "documents": [...], "scores": [...]}`, the best score is the positive's;
- labelled documents: `{"query", "document", "label"}` (also `relevance`, `rel`, `grade`, `relevant`,
  `is_relevant`, `judgment`, `rating`), or `documents` with `labels` of 0 and 1: a document with label 0 is no
  answer;
- triples with a margin: a triple whose one `label` is a teacher's `score(positive) - score(negative)`;
- ids in place of texts: `query_id`, `positive_id(s)`, `negative_ids`, `document_ids`, looked up in a corpus
  and a queries file; also `qid`, `pos` and `"neg": {system: [ids]}`, the layout of the MS MARCO hard
  negatives that sentence-transformers publishes.

A text is a string or an object with `title` and `text`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splade_engine.collections.qrels import GRADE_NAMES
from splade_engine.errors import DatasetError
from splade_engine.training.data.line_file import checked_text

Lookup = Callable[[str, str, str], str]  # (id, place, what) -> text

_QUERY = ("query", "anchor", "question")
_QUERY_ID = ("query_id", "qid")
_POSITIVE = ("positive", "positives", "document", "passage", "answer")
_POSITIVE_ID = ("positive_id", "positive_ids", "document_id", "pos")
_NEGATIVE = ("negative", "negatives")
_NEGATIVE_ID = ("negative_id", "negative_ids", "neg")
_SCORES = ("scores", "score")  # a teacher's
# judgments, or a teacher's as well; of a name that is not here the document would be taken for an answer
_GRADES = tuple(name for name in GRADE_NAMES if name not in ("score", "label"))
_LABELS = ("labels", "label", *_GRADES, "relevant", "is_relevant")
_NUMBERS = ("scores", "labels", "score", *_LABELS[1:])


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its documents."""

    # The query's text.
    query: str
    # At least one relevant text.
    positives: tuple[str, ...]
    # Texts that are not relevant, perhaps none.
    negatives: tuple[str, ...] = ()
    # A teacher's score of every positive, then of every negative; None where the row has none.
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What a row holds; `example` is None where none of its documents answers the query."""

    # The query's text.
    query: str
    # Texts that answer it, perhaps none.
    positives: tuple[str, ...]
    # Texts that do not.
    negatives: tuple[str, ...] = ()
    # A teacher's score of every positive, then of every negative; None where the row has none.
    scores: tuple[float, ...] | None = None

    @property
    def example(self) -> Example | None:
        """The row as an example."""
        if not self.positives:
            return None
        return Example(self.query, self.positives, self.negatives, self.scores)


def row_from_record(
    record: dict[str, Any], place: str, query_text: Lookup | None = None, document_text: Lookup | None = None
) -> Row:
    """Read one row in any of the layouts above.

    Args:
        record: the JSON object.
        place: `file:line`, begins the error message.
        query_text: looks a query's id up; None where no such file was given.
        document_text: the same for documents.

    Raises:
        DatasetError: naming the field that is missing or has the wrong type, or the id that is not found.
    """
    row = _Reader(record, place, query_text, document_text)
    query = row.one("query", _QUERY, _QUERY_ID, query_text)
    if any(key in record for key in ("documents", "document_ids")):
        return row.scored_list(query)
    positives = row.many(_POSITIVE, _POSITIVE_ID)
    if not positives:
        raise DatasetError(f"{place}: the field positive is missing (or document, passage, positive_id)")
    negatives = row.many(_NEGATIVE, _NEGATIVE_ID)
    numbered = sorted(key for key in record if key.startswith("negative_") and key[9:].isdigit())
    negatives += tuple(row.text(record[key], key) for key in numbered)
    if not negatives and (judged := row.judged(query, positives)) is not None:
        return judged
    return Row(query, positives, negatives, row.scores(len(positives), len(negatives)))


def example_from_record(
    record: dict[str, Any], place: str, query_text: Lookup | None = None, document_text: Lookup | None = None
) -> Example | None:
    """What `row_from_record(...).example` is, by the name of release 0.1."""
    warnings.warn(
        "example_from_record goes with the next minor release; row_from_record(...).example is the same",
        DeprecationWarning,
        stacklevel=2,
    )
    return row_from_record(record, place, query_text, document_text).example


class _Reader:
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

    def judged(self, query: str, texts: tuple[str, ...]) -> Row | None:
        """Documents without negatives and what their labels say, None where the row has no labels.

        With a label above 0 a document answers the query, at 0 or below it does not.
        """
        labels = self.numbers(len(texts))
        if labels is None:
            return None
        name = next(name for name in _NUMBERS if name in self.record)
        # a teacher's score may well be negative; exactly 0 is the label of a document that is no answer
        relevant = [label != 0 if name in _SCORES else label > 0 for label in labels]
        order = sorted(range(len(texts)), key=lambda i: not relevant[i])
        return Row(
            query,
            tuple(texts[i] for i in order if relevant[i]),
            tuple(texts[i] for i in order if not relevant[i]),
            tuple(labels[i] for i in order),
        )

    def scored_list(self, query: str) -> Row:
        texts = self.many(("documents",), ("document_ids",))
        scores = self.numbers(len(texts))
        if not texts or scores is None:
            raise DatasetError(f"{self.place}: a list of documents needs scores, one for each")
        if not {name for name in _SCORES if name in self.record} and set(scores) <= {-1.0, 0.0, 1.0}:
            judged = self.judged(query, texts)
            assert judged is not None
            return judged
        order = sorted(range(len(texts)), key=lambda i: -scores[i])
        best, *rest = order
        return Row(query, (texts[best],), tuple(texts[i] for i in rest), tuple(scores[i] for i in order))

    def scores(self, n_positives: int, n_negatives: int) -> tuple[float, ...] | None:
        n = n_positives + n_negatives
        value = next((self.record[k] for k in _NUMBERS if k in self.record), None)
        if value is not None and not isinstance(value, list) and n == 2 and n_negatives == 1:
            return (self.number(value, "label"), 0.0)  # a margin: only differences count
        return self.numbers(n)

    def numbers(self, n: int) -> tuple[float, ...] | None:
        for name in _NUMBERS:
            if name in self.record:
                value = self.record[name]
                values = value if isinstance(value, list) else [value]
                if len(values) != n:
                    raise DatasetError(f"{self.place}: {len(values)} {name} for {n} documents")
                return tuple(self.number(v, name) for v in values)
        return None

    def number(self, value: object, name: str) -> float:
        if isinstance(value, bool) and name in _LABELS:
            return float(value)
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
        return checked_text(value, lambda _: self.place, 0, name)

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
