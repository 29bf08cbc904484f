"""Relevance judgments, from TREC qrels (`qid 0 docid grade`) or BEIR's tab-separated form with its header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import DatasetError

Qrels = Mapping[str, Mapping[str, int]]
"""Grades by query id and document id."""

_HEADER = ("query-id", "corpus-id", "score")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read judgments; the form is told by the number of columns (three with tabs: BEIR; four: TREC).

    Raises:
        DatasetError: naming the file and line of a malformed line, of a grade that is no integer, or of a
            pair that is judged twice with different grades.
    """
    path = Path(path)
    out: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = _columns(line, f"{path}:{number}")
        if number == 1 and _is_header(columns):
            continue
        query_id, doc_id, text = columns
        grade = _grade(text, f"{path}:{number}")
        judged = out.setdefault(query_id, {})
        if judged.get(doc_id, grade) != grade:
            raise DatasetError(
                f"{path}:{number}: query {query_id!r}, document {doc_id!r} is judged {grade} here "
                f"and {judged[doc_id]} above"
            )
        judged[doc_id] = grade
    if not out:
        raise DatasetError(f"{path}: no judgments")
    return out


def _columns(line: str, place: str) -> tuple[str, str, str]:
    columns = line.split("\t") if line.count("\t") >= 2 else line.split()
    columns = [c.strip() for c in columns]
    if len(columns) == 3:
        return columns[0], columns[1], columns[2]
    if len(columns) == 4:
        return columns[0], columns[2], columns[3]
    raise DatasetError(
        f"{place}: a judgment has 3 columns (query-id, corpus-id, score) or 4 (qid 0 docid grade), "
        f"this line {len(columns)}"
    )


def _is_header(columns: tuple[str, str, str]) -> bool:
    return columns == _HEADER or not _is_number(columns[2])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _grade(text: str, place: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise DatasetError(f"{place}: grade {text!r} is not an integer")
    return int(value)


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
    for number, line in read_lines(path):
        columns = line.split("\t") if line.count("\t") >= 2 else line.split()
        if columns[0].strip() == query_id and (doc_id is None or doc_id in (c.strip() for c in columns[1:])):
            return number
    return 1
