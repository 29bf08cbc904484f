"""`Example`: one training row, and how JSON rows of the formats in use become one.

- pairs: `{"query": ..., "positive": ...}`; also `anchor`, `document`, `passage`;
- triples: `{"query": ..., "positive": ..., "negative": ...}`; also `"negatives": [...]`, `"negative_1": ...`;
- scored lists: `{"query": ..., "documents": [...], "scores": [...]}`, the best score is the positive's;
- labelled documents: `{"query", "document", "label"}` (also `relevance`, `rel`, `grade`, `relevant`,
  `is_relevant`, `judgment`, `rating`), or `documents` with `labels` of 0 and 1: a document with label 0 is no
  answer;
- triples with a margin: a triple whose one `label` is a teacher's `score(positive) - score(negative)`; of
  several negatives a list, one for each;
- FlagEmbedding's `{"query", "pos": [...], "neg": [...], "pos_scores": [...], "neg_scores": [...]}`, and
  Tevatron's `{"query", "positive_passages": [...], "negative_passages": [...]}`;
- DPR's `{"question", "positive_ctxs": [...], "negative_ctxs": [...], "hard_negative_ctxs": [...]}`: as in its
  trainer, the ordinary negatives serve where there are no hard ones, and a row without a positive is none;
- ids in place of texts: `query_id`, `positive_id(s)`, `negative_ids`, `document_ids`, looked up in a corpus
  and a queries file; also `qid`, `pos` and `"neg": {system: [ids]}`, the layout of the MS MARCO hard
  negatives that sentence-transformers publishes;
- ColBERT's arrays of ids: `[query, positive, negative, ...]`, or with a teacher's scores
  `[query, [positive, score], [negative, score], ...]`.

A text is a string or an object with `title` and `text` (or `contents`, `body`, as in a corpus). A negative
that is null is none. Names are read whatever their case. Where a row has labels and scores, the labels say
what answers and the scores are a teacher's. `pos` and `neg` are ids where there is a collection to look them
up in, else texts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splade_engine.arguments import first_twice, shown
from splade_engine.collections.documents import id_and_text
from splade_engine.collections.qrels import GRADE_NAMES
from splade_engine.errors import DatasetError
from splade_engine.training.data.foreign_rows import OF_DPR, of_dpr, without_nulls
from splade_engine.training.data.line_file import SCORE_LIMIT, checked_text, is_score
from splade_engine.training.data.mined import MINED_FROM

Lookup = Callable[[str, str, str], str]  # (id, place, what) -> text

_QUERY = ("query", "anchor", "question")
_QUERY_ID = ("query_id", "qid")
_POSITIVE = ("positive", "positives", "positive_passages", "document", "passage", "answer")
_POSITIVE_ID = ("positive_id", "positive_ids", "document_id", "pos")
_NEGATIVE = ("negative", "negatives", "negative_passages")
_NEGATIVE_ID = ("negative_id", "negative_ids", "neg")
TEXTS_OR_IDS = ("pos", "neg")
_SCORES = ("scores", "score")  # a teacher's
_OF_SIDES = ("pos_scores", "neg_scores")  # the same, of positives and negatives apart
# judgments, or a teacher's as well; of a name that is not here the document would be taken for an answer
_GRADES = tuple(name for name in GRADE_NAMES if name not in ("score", "label"))
_LABELS = ("labels", "label", *_GRADES, "relevant", "is_relevant")
_NUMBERS = ("scores", "labels", "score", *_LABELS[1:])
_LOWEST, _HIGHEST = -2, 10  # grades of judgments; a teacher's scores are hardly ever whole
_READ = frozenset((*_QUERY, *_QUERY_ID, *_POSITIVE, *_POSITIVE_ID, *_NEGATIVE, *_NEGATIVE_ID, *_NUMBERS))
_READ |= {*_OF_SIDES, *OF_DPR} | {"documents", "document_ids", MINED_FROM}


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

    def without_copies(self) -> Row:
        """Without the negatives that are one of its positives, and their scores."""
        kept = [i for i, text in enumerate(self.negatives) if text not in self.positives]
        if len(kept) == len(self.negatives):
            return self
        n = len(self.positives)
        scores = self.scores and (*self.scores[:n], *(self.scores[n + i] for i in kept))
        return Row(self.query, self.positives, tuple(self.negatives[i] for i in kept), scores)


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
    query = row.query(_QUERY, _QUERY_ID, query_text)
    if any(key in row.record for key in ("documents", "document_ids")):
        return row.scored_list(query)
    positives = row.many(_POSITIVE, _POSITIVE_ID)
    if not positives and OF_DPR[0] not in record:
        raise DatasetError(f"{place}: the field positive is missing (or document, passage, positive_id)")
    negatives = row.many(_NEGATIVE, _NEGATIVE_ID)
    negatives += tuple(row.text(row.record[key], key) for key in row.numbered())
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
        self.record, self.place = of_dpr(without_nulls(_folded(record, place))), place
        self.query_text, self.document_text = query_text, document_text

    def numbered(self) -> list[str]:
        """`negative_1`, `negative_2` and so on, in the order of their numbers, which is that of scores."""
        return sorted(filter(_is_numbered, self.record), key=lambda name: int(name[9:]))

    def check_alone(self, names: tuple[str, ...]) -> None:
        """Refuse two fields of which only one would be read.

        `query` and `positive` are meant in any case; an `answer` beside a document is what it was found for.
        """
        there = [name for name in names if name in self.record and name != "answer"]
        if len({str(self.record[name]) for name in there}) < 2:
            return
        if there[0] not in ("query", "positive") or there[1] == "positives":
            raise DatasetError(f"{self.place}: holds {there[0]} and {there[1]}; keep one of them")

    def query(self, names: tuple[str, ...], ids: tuple[str, ...], lookup: Lookup | None) -> str:
        self.check_alone(names)
        for name in names:
            if name in self.record:
                return self.text(self.record[name], name)
        for name in ids:
            if name in self.record:
                return self.look_up(self.record[name], name, "query", lookup)
        raise DatasetError(f"{self.place}: the field query is missing (or {', '.join(names[1:] + ids)})")

    def many(self, names: tuple[str, ...], ids: tuple[str, ...]) -> tuple[str, ...]:
        self.check_alone(names)
        for name in names:
            if name in self.record:
                value = self.record[name]
                return tuple(self.text(v, name) for v in (value if isinstance(value, list) else [value]))
        for name in ids:
            if name in self.record:
                values = _flat(self.record[name])
                if is_text_of(name, values, self.document_text):
                    return tuple(self.text(v, name) for v in values)
                return tuple(self.look_up(v, name, "document", self.document_text) for v in values)
        return ()

    def judged(self, query: str, texts: tuple[str, ...]) -> Row | None:
        """Documents without negatives and what their labels say, None where the row has no labels.

        With a label above 0 a document answers the query, at 0 or below it does not.
        """
        self.check_alone(_LABELS)
        labels, scores = self.numbers(_LABELS, len(texts)), self.numbers(_SCORES, len(texts))
        if labels is not None:
            relevant = [label > 0 for label in labels]
        elif scores is not None:
            # a teacher's may well be negative; exactly 0 is the label of a document that is no answer
            relevant = [score != 0 for score in scores]
        else:
            return None
        values = scores or labels or ()
        order = sorted(range(len(texts)), key=lambda i: not relevant[i])
        return Row(
            query,
            tuple(texts[i] for i in order if relevant[i]),
            tuple(texts[i] for i in order if not relevant[i]),
            tuple(values[i] for i in order),
        )

    def scored_list(self, query: str) -> Row:
        texts = self.many(("documents",), ("document_ids",))
        labels, scores = self.numbers(_LABELS, len(texts)), self.numbers(_SCORES, len(texts))
        if not texts or (labels is None and scores is None):
            raise DatasetError(f"{self.place}: a list of documents needs scores, one for each")
        as_labels = not any(scores or (1.0,))  # nothing but zeros: none of them is the best
        if as_labels or (labels is not None and (scores is not None or _are_grades(labels))):
            judged = self.judged(query, texts)
            assert judged is not None
            return judged
        scores = scores or labels or ()
        order = sorted(range(len(texts)), key=lambda i: -scores[i])
        best, *rest = order
        return Row(query, (texts[best],), tuple(texts[i] for i in rest), tuple(scores[i] for i in order))

    def scores(self, n_positives: int, n_negatives: int) -> tuple[float, ...] | None:
        if any(name in self.record for name in _OF_SIDES):
            return self.scores_of_sides(n_positives, n_negatives)
        n = n_positives + n_negatives
        name = next((name for name in _NUMBERS if name in self.record), "")
        value = self.record.get(name)
        if value is not None and not isinstance(value, list) and n == 2 and n_negatives == 1:
            return (self.number(value, name), 0.0)  # a margin: only differences count
        if (
            name in ("label", "labels")
            and isinstance(value, list)
            and (n_positives, len(value)) == (1, n - 1)
        ):
            return (0.0, *(0.0 - self.number(margin, name) for margin in value))
        return self.numbers(_NUMBERS, n)

    def scores_of_sides(self, n_positives: int, n_negatives: int) -> tuple[float, ...]:
        lacking = [name for name in _OF_SIDES if name not in self.record]
        if lacking:
            raise DatasetError(f"{self.place}: {lacking[0]} is missing beside the scores of the other side")
        positives, negatives = (
            self.numbers((name,), n) for name, n in zip(_OF_SIDES, (n_positives, n_negatives), strict=True)
        )
        return (*(positives or ()), *(negatives or ()))

    def numbers(self, names: tuple[str, ...], n: int) -> tuple[float, ...] | None:
        for name in names:
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
        if not is_score(value):
            raise DatasetError(f"{self.place}: {name} {shown(value)} is not a number{SCORE_LIMIT}")
        return float(value)

    def text(self, value: object, name: str) -> str:
        if isinstance(value, dict):
            value = self.titled(value, name)
        if not isinstance(value, str):
            raise DatasetError(f"{self.place}: {name} must be a text, got {type(value).__name__}")
        if not value.strip():
            raise DatasetError(f"{self.place}: {name} is empty")
        return checked_text(value, lambda _: self.place, 0, name)

    def titled(self, document: dict[str, Any], name: str) -> str:
        """Title and text of an object, whose text may be called as in a corpus (`contents`, `body`)."""
        where = f"{self.place}: {name}"
        field = id_and_text({"_id", *document}, where)[1]
        if field not in document:
            fields = ", ".join(map(shown, document))
            raise DatasetError(f"{where} is an object without a text (fields: {fields:.200})")
        parts = [document.get("title"), document[field]]
        odd = next((part for part in parts if part is not None and not isinstance(part, str)), None)
        if odd is not None:
            raise DatasetError(f"{where}: title and {field} must be texts, got {shown(odd)}")
        return " ".join(part or "" for part in parts).strip()

    def look_up(self, value: object, name: str, what: str, lookup: Lookup | None) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DatasetError(f"{self.place}: {name} must be an id, got {type(value).__name__}")
        if lookup is None:
            which = "queries" if what == "query" else "corpus"
            raise DatasetError(f"{self.place}: {name} {value!r} is an id, but no {which} file was given")
        return lookup(str(value), self.place, what)


def is_text_of(name: str, values: Sequence[Any], lookup: Lookup | None) -> bool:
    """Whether a field that is of ids or of texts holds texts: no collection is given to look ids up in."""
    return name in TEXTS_OR_IDS and lookup is None and all(isinstance(v, str) for v in values)


def unread(record: Mapping[str, Any]) -> list[str]:
    """The fields of a row that have no meaning here, as they are written."""
    names = {_plain(name): name for name in record}
    beside = {name for role in (_QUERY, _POSITIVE) for name in [n for n in role if n in names][1:]}
    return [
        written
        for name, written in names.items()
        if name in beside or not (name in _READ or _is_numbered(name))
    ]


def _folded(record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A row with its fields' names in lower case, `_` for `-` and space.

    Raises:
        DatasetError: two names are one then.
    """
    folded = {_plain(name): value for name, value in record.items()}
    if len(folded) < len(record):
        name = first_twice(_plain(name) for name in record)
        raise DatasetError(f"{place}: two fields are named {name!r:.60} but for their case")
    return folded


def _plain(name: str) -> str:
    return name if name in _READ else name.casefold().replace("-", "_").replace(" ", "_")


def _is_numbered(name: str) -> bool:
    return name.startswith("negative_") and name[9:].isascii() and name[9:].isdigit()


def _are_grades(labels: Sequence[float]) -> bool:
    return all(label.is_integer() and _LOWEST <= label <= _HIGHEST for label in labels)


def _flat(value: Any) -> list[Any]:
    """Ids of one, of a list, or of {system: list}; every id once, in order."""
    if isinstance(value, dict):
        value = [v for ids in value.values() for v in (ids if isinstance(ids, list) else [ids])]
    values = value if isinstance(value, list) else [value]
    if any(isinstance(v, list | dict) for v in values):
        return values  # no ids
    return list(dict.fromkeys(values))
