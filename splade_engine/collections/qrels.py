"""Relevance judgments: who is relevant to which query, and how much.

Two forms are told apart without a header: three columns are query, document, grade; four are TREC's query,
iteration, document, grade. With a header the columns are read by their names, in any order, and columns of
other names are left out. What could be either is refused: a file that is read wrongly gives numbers all the
same. A name that ends in .csv, .json or .jsonl says how columns are divided, and changes none of these rules.
JSON may also map queries to grades by document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from splade_engine.arguments import shown
from splade_engine.collections.documents import json_values
from splade_engine.collections.json_array import json_array
from splade_engine.collections.separated import CommaSeparatedLines, Header, header_names
from splade_engine.collections.text_lines import plain_suffix, read_lines, trec_columns
from splade_engine.errors import DatasetError
from splade_engine.plain_text import is_text

Qrels = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id."""

# names of columns, lower-cased, with - for _ and space
_QUERY_NAMES = ("query-id", "qid", "query", "queryid", "q-id", "topic", "topic-id", "topicid")
_DOCUMENT_NAMES = (
    *("corpus-id", "doc-id", "docid", "docno", "document-id", "document", "doc", "did", "corpusid"),
    *("pid", "passage-id", "passageid"),
)
GRADE_NAMES = ("score", "relevance", "rel", "grade", "label", "relevancy", "rating", "judgment", "judgement")
_NAMES = dict.fromkeys(_QUERY_NAMES, "query") | dict.fromkeys(_DOCUMENT_NAMES, "document")
_NAMES |= dict.fromkeys(GRADE_NAMES, "grade")
_GRADE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DOCUMENTS_PER_ITERATION = 4
LARGEST_GRADE = 1_000_000  # trec_eval counts in an array with a place for every grade up to a query's largest


@dataclass(frozen=True, slots=True)
class Judgment:
    """One line of a file of judgments."""

    # of an array in JSON the number of the object, of a mapping that of the query
    line: int
    query_id: str
    doc_id: str
    grade: int


def read_judgments(path: str | Path) -> Iterator[Judgment]:
    """Stream the judgments of a file, in its order, whatever is judged twice included.

    Raises:
        DatasetError: naming the file and line of what cannot be read one way only.
    """
    path = Path(path)
    suffix = plain_suffix(path)
    if suffix in (".json", ".jsonl"):
        yield from _json_judgments(path, suffix)
        return
    columns: _Columns | None = None
    header: Header | None = None
    comma_separated = CommaSeparatedLines() if suffix == ".csv" else None
    for number, line in read_lines(path):
        place = f"{path}:{number}"
        if comma_separated is not None:
            values = comma_separated.columns(line, place)
        else:
            values = trec_columns(line, tabs=2)
        if columns is None:
            if not values:  # a line that says what stands between columns
                continue
            columns = _header(values, place)
            if columns is not None:
                header = Header(header_names(values), str(path))
                continue
            columns = _Columns.without_header(values, place)
        if header is None or not header.stands_in(values, number):
            yield columns.judgment(values, number, place)
    if columns is not None:
        columns.check_iteration(path)


def unique_judgments(path: str | Path) -> Iterator[Judgment]:
    """The judgments of a file, each pair of query and document once.

    Raises:
        DatasetError: as `read_judgments`; for a pair that is judged twice with different grades.
    """
    grades: dict[tuple[str, str], int] = {}
    for found in read_judgments(path):
        earlier = grades.get((found.query_id, found.doc_id))
        if earlier is None:
            grades[found.query_id, found.doc_id] = found.grade
            yield found
        elif earlier != found.grade:
            raise DatasetError(
                f"{path}:{found.line}: query {found.query_id!r}, document {found.doc_id!r} is judged "
                f"{found.grade} here and {earlier} above"
            )


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """All judgments of a file.

    Raises:
        DatasetError: as `unique_judgments`; for no judgment at all.
    """
    out: dict[str, dict[str, int]] = {}
    for found in unique_judgments(path):
        out.setdefault(found.query_id, {})[found.doc_id] = found.grade
    if not out:
        raise DatasetError(f"{path}: no judgments")
    return out


def checked_qrels(qrels: Any) -> dict[str, dict[str, int]]:
    """Judgments that a program gives, as those of a file: a grade is a whole number.

    Args:
        qrels: grades by query id and document id; numbers of numpy and `1.0` are read too.

    Raises:
        DatasetError: naming the query and document of what is none. An evaluator would cut 0.5 to 0.
    """
    out: dict[str, dict[str, int]] = {}
    for query, judged in checked_mapping("judgments", qrels).items():
        at = f"judgments: query {shown(query)}"
        grades = out[query] = {}
        for document, grade in checked_mapping(at, judged).items():
            # a whole number is an integer of any type, or a float without a fraction
            is_whole = isinstance(grade, Real) and not isinstance(grade, bool) and grade == grade // 1
            if not is_whole or abs(grade) > LARGEST_GRADE:
                raise DatasetError(
                    f"{at}, document {shown(document)}: grade {shown(grade)} is not an integer of at most "
                    f"{LARGEST_GRADE:,}"
                )
            grades[document] = int(grade)
    return out


def checked_mapping(what: str, given: Any) -> Mapping[str, Any]:
    """A mapping whose keys are ids.

    Raises:
        DatasetError: beginning with `what`, for anything else.
    """
    if not isinstance(given, Mapping):
        raise DatasetError(f"{what}: a mapping by id is expected, got {shown(given)}")
    odd = next((name for name in given if not isinstance(name, str)), None)
    if odd is not None:
        raise DatasetError(f"{what}: the id {shown(odd)} is {type(odd).__name__}, a text is expected")
    return given


# ---- JSON --------------------------------------------------------------------------------------------------


def _json_judgments(path: Path, suffix: str) -> Iterator[Judgment]:
    """The judgments of objects that name query, document and grade, or of a mapping from queries."""
    lines = read_lines(path, keep_blank=suffix == ".json")
    values = json_array(lines, str(path)) if suffix == ".json" else json_values(lines, str(path))
    known: dict[tuple[str, ...], _Columns] = {}
    for number, value in values:
        place = f"{path}:{number}"
        if not isinstance(value, dict):
            raise DatasetError(
                f"{place}: an object with query-id, corpus-id and score is expected, got {shown(value)}"
            )
        if value and all(isinstance(judged, dict) for judged in value.values()):
            yield from _mapped(value, number, path)
            continue
        keys = tuple(value)
        columns = known.get(keys) or _header(list(keys), place)
        if columns is None:
            raise DatasetError(
                f"{place}: the object must name query-id, corpus-id and score, it has {shown(keys)}"
            )
        known[keys] = columns
        needed = (columns.query, columns.document, columns.grade)
        cells = [_cell(cell, place) if i in needed else "" for i, cell in enumerate(value.values())]
        yield columns.judgment(cells, number, place)


def _mapped(value: Mapping[str, Mapping[str, Any]], number: int, path: Path) -> Iterator[Judgment]:
    for query, judged in value.items():
        place = f"{path}: query {shown(query)}"
        for document, grade in judged.items():
            if not query or not document:
                raise DatasetError(f"{place}: the {'query' if not query else 'document'} id is empty")
            here = f"{place}, document {shown(document)}"
            yield Judgment(
                number, _cell(query, place), _cell(document, here), _grade(_cell(grade, here), here)
            )


def _cell(value: object, place: str) -> str:
    """A text or a number of JSON, as a cell.

    Raises:
        DatasetError: for anything else, which is no id and no grade, and for half a surrogate pair.
    """
    if isinstance(value, str):
        if not is_text(value):
            raise DatasetError(f"{place}: {shown(value)} holds half a surrogate pair, not text")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    raise DatasetError(f"{place}: {shown(value)} is neither text nor number")


# ---- which column is which ------------------------------------------------------------------------------


class _Columns:
    """Where query, document and grade stand, and how many columns a line has."""

    def __init__(self, query: int, document: int, grade: int, n: int, iteration: int | None = None) -> None:
        self.query, self.document, self.grade, self.n = query, document, grade, n
        self._iteration = iteration
        self._iterations: dict[str, int] = {}  # value: its first line
        self._documents: set[str] = set()
        self._graded = False

    @classmethod
    def without_header(cls, values: list[str], place: str) -> _Columns:
        """By the number of columns."""
        if len(values) == 3:
            return cls(0, 1, 2, 3)
        if len(values) == 4:
            return cls(0, 2, 3, 4, iteration=1)
        raise _wrong_count(values, place)

    def judgment(self, values: list[str], line: int, place: str) -> Judgment:
        """The judgment in a line."""
        if len(values) != self.n:
            raise _wrong_count(values, place, self.n)
        query, document = values[self.query], values[self.document]
        if not query or not document:
            raise DatasetError(f"{place}: the {'query' if not query else 'document'} id is empty")
        grade = _grade(values[self.grade], place)
        if self._iteration is not None:
            value = values[self._iteration]
            self._iterations.setdefault("0" if value.lower() == "q0" else value, line)
            self._documents.add(document)
            self._graded = self._graded or grade != 0
        return Judgment(line, query, document, grade)

    def check_iteration(self, path: Path) -> None:
        """Refuse four columns whose second cannot be TREC's iteration.

        It is 0 or Q0 nearly always; TREC-COVID has the round of judging there, one of ten values for 35,000
        documents. Where it is neither, the file has another order: ir_datasets, for one, exports query,
        document, relevance, iteration.
        """
        other = next((value for value in self._iterations if value != "0"), None)
        if other is None:
            return
        if self._graded and len(self._documents) >= _DOCUMENTS_PER_ITERATION * len(self._iterations):
            return
        raise DatasetError(
            f"{path}:{self._iterations[other]}: four columns without a header are qid, 0, docid, grade, and "
            f"{other[:40]!r} is not 0; name the columns in a header: query-id, corpus-id, score"
        )


def _header(values: list[str], place: str) -> _Columns | None:
    """The columns that a first line names; None where it is a judgment."""
    names = [value.lower().replace("_", "-").replace(" ", "-") for value in values]
    found: dict[str, list[int]] = {"query": [], "document": [], "grade": []}
    for i, name in enumerate(names):
        if name in _NAMES:
            found[_NAMES[name]].append(i)
    if not found["query"] or not found["document"]:
        if any(_GRADE.fullmatch(values[i]) for i in range(2, len(values))):
            return None  # a judgment, or something that `without_header` refuses
        if len(values) in (3, 4):
            raise DatasetError(
                f"{place}: grade {values[-1]!r} is not an integer, nor is this a header that names query-id, "
                f"corpus-id and score{_other_format(values)}"
            )
        return None
    # of a query that may be called "query" and a document called "doc"; `without_header` looks at it
    if not found["grade"] and any(_GRADE.fullmatch(value) for value in values):
        return None
    if not found["grade"] and len(values) == 3:
        found["grade"] = [i for i in range(3) if i not in (*found["query"], *found["document"])]
    for what, places in found.items():
        if len(places) != 1:
            given = " and ".join(repr(values[i]) for i in places) or "none"
            raise DatasetError(f"{place}: the header must name one {what} column, it names {given}")
    return _Columns(found["query"][0], found["document"][0], found["grade"][0], len(values))


def _wrong_count(values: list[str], place: str, wanted: int | None = None) -> DatasetError:
    if wanted is not None and wanted not in (3, 4):
        return DatasetError(f"{place}: {len(values)} columns where the header has {wanted}")
    return DatasetError(
        f"{place}: a judgment has 3 columns (query-id, corpus-id, score) or 4 (qid 0 docid grade), "
        f"this line {len(values)}" + (f", the first line {wanted}" if wanted else _other_format(values))
    )


def _other_format(values: list[str]) -> str:
    """Advice for a first line that looks like CSV or JSON in a file of another name."""
    begin = " ".join(values)
    if begin[:1] in ("{", "[") or any(begin.count(sign) > 1 for sign in ",;"):
        return "; name the file .csv, .json or .jsonl if it is that"
    return ""


def _grade(text: str, place: str) -> int:
    value = float(text) if _GRADE.fullmatch(text) else 0.5
    if not value.is_integer():
        raise DatasetError(f"{place}: grade {text[:40]!r} is not an integer")
    if abs(value) > LARGEST_GRADE:
        raise DatasetError(f"{place}: grade {text[:40]!r} is too large (at most {LARGEST_GRADE:,})")
    return int(value)


# ---- do they belong to these queries? -------------------------------------------------------------------


def check_queries_join(qrels: Qrels, queries: Iterable[str], qrels_file: Path, queries_file: Path) -> None:
    """Every judged query must have a text.

    Raises:
        DatasetError: naming the first line whose query is not in the queries file.
    """
    known = set(queries)
    missing = [query for query in qrels if query not in known]
    if missing:
        line = line_of(qrels_file, missing[0])
        raise DatasetError(
            f"{qrels_file}:{line}: query {missing[0]!r} is not in {queries_file.name} "
            f"({len(missing)} of {len(qrels)} judged queries are not)"
        )


def line_of(path: Path, query_id: str, doc_id: str | None = None) -> int:
    """The first line of a qrels file about a query (and a document), 1 where there is none."""
    found = (j.line for j in read_judgments(path) if j.query_id == query_id and doc_id in (None, j.doc_id))
    return next(found, 1)
