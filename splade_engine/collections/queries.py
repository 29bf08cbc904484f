"""Queries of a collection: one JSON object a line, `_id` (or `id`) and `text`."""

from __future__ import annotations

from pathlib import Path

from splade_engine.collections.documents import json_lines, take_id, text_field
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
        queries[query_id] = text
    if not queries:
        raise DatasetError(f"{path}: no queries")
    return queries


def _query(record: object, place: str) -> tuple[str, str]:
    if not isinstance(record, dict):
        raise DatasetError(f"{place}: an object with _id and text is needed")
    fields = {"_id": record.get("_id", record.get("id")), "text": record.get("text")}
    query_id = take_id(fields, "_id", place, required="_id")
    if not query_id:
        raise DatasetError(f"{place}: the _id is empty")
    return query_id, text_field(fields, "text", place, required="text")
