"""Queries: of a collection, one JSON object a line with `_id` (or `id`) and `text`; or a file of records."""

from __future__ import annotations

from pathlib import Path

from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.documents import json_lines, take_id, text_field
from splade_engine.collections.formats import saved_dataset
from splade_engine.collections.limits import check_query
from splade_engine.collections.reading import Cutting, holds_files, read_documents
from splade_engine.collections.standard_input import is_standard_input
from splade_engine.errors import DatasetError


def read_queries(path: str | Path) -> dict[str, str]:
    """Query texts by id, in the order of the file.

    Raises:
        DatasetError: naming the file and line without `_id` or `text`, or with an id that was there before.
    """
    path = Path(path)
    queries: dict[str, str] = {}
    for number, record in json_lines(path):
        query_id, text = _query(record, f"{path}:{number}")
        if query_id in queries:
            raise DatasetError(f"{path}:{number}: duplicate query id {query_id!r}")
        check_query(text, f"{path}:{number}")
        queries[query_id] = text
    if not queries:
        raise DatasetError(f"{path}: no queries")
    return queries


def query_texts(source: str | Path, *, allow_empty: bool = False) -> dict[str, str]:
    """Query texts by id, from a file of records of any format (JSONL, TSV, CSV, Parquet, ...) or `-`.

    Raises:
        DatasetError: as `check_holds_queries` and `read_documents`.
    """
    check_holds_queries(source)
    as_written = Cutting(columns=ColumnTypes(find=False))
    found = read_documents(source, allow_empty=allow_empty, cutting=as_written)
    queries = {query.id: query.indexed_text for query in found}
    for query_id, text in queries.items():
        check_query(text, f"{source}: query {query_id!r:.80}")
    return queries


def check_holds_queries(source: str | Path) -> None:
    """Refuse what is a document: of a text file with one query a line, all lines would be one query.

    Raises:
        DatasetError: for a text file, a page and their like, and for a folder other than a saved dataset.
    """
    path = Path(source)
    if is_standard_input(source) or not path.exists():
        return
    if path.is_dir() and saved_dataset(path) is None:
        raise DatasetError(f"{path}: a folder; give the file that holds the queries")
    if not path.is_dir() and holds_files(path):
        raise DatasetError(
            f"{path}: a file of this kind is read as one document; give queries as JSONL, or as TSV with an "
            "id and a text on each line"
        )


def _query(record: object, place: str) -> tuple[str, str]:
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: an object with _id and text is needed")
    name = "id" if "id" in record and "_id" not in record else "_id"
    fields = {field: record[field] for field in (name, "text") if field in record}
    query_id = take_id(fields, name, place, required="_id")
    if not query_id:
        raise DatasetError(f"{place}: the {name} is empty")
    return query_id, text_field(fields, "text", place, required="text")
