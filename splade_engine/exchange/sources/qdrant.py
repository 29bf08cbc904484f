"""Qdrant: points as JSON lines, one a line, or the answers of its scroll API.

    {"id": 1, "vector": {"text": {"indices": [2, 7], "values": [1.5, 0.2]}}, "payload": {"title": "..."}}

The document's id is `doc_id` of the payload, where that is a text, and else the point's. Title and text keep
their names, an object `metadata` is laid open, and every other field of the payload becomes metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from splade_engine.collections.documents import check_id, json_lines
from splade_engine.collections.fields import FieldSurvey, payload_table
from splade_engine.collections.metadata import checked_metadata, metadata_json
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.exchange.rows import sorted_rows
from splade_engine.exchange.source import Imported, Options, Source


def read(path: Path, options: Options) -> Imported:
    """Read the points of a file."""
    ids: dict[str, str] = {}
    titles, texts, metadata = [], [], []
    terms: list[int] = []
    weights: list[float] = []
    ptr, survey = [0], FieldSurvey()
    for place, point in _points(path):
        indices, values = _sparse(place, point.get("vector"))
        id, fields = _named(place, point)
        if id in ids:
            raise InvalidInputError(f"{place}: the id {id!r:.80} is also that of {ids[id]}")
        ids[id] = place.rpartition(":")[2]
        titles.append(_text(fields, "title"))
        texts.append(_text(fields, "text"))
        try:
            kept = checked_metadata(fields, place)
            survey.note(id, kept)
            metadata.append(metadata_json(kept))
        except DatasetError as error:
            raise InvalidInputError(str(error)) from None
        terms += indices
        weights += values
        ptr.append(len(terms))
    if not ids:
        raise InvalidInputError(f"{path}: no points")
    arrays = np.array(ptr), np.array(terms, np.int64), np.array(weights, np.float64)
    try:
        vectors = sorted_rows(*arrays, options.n_terms, options.scale)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    head, body = (pa.array(column, pa.large_string()) for column in (titles, texts))
    stored = any(titles) or any(texts) or any(metadata)
    payload = payload_table(head, body, metadata, survey.kinds()) if stored else None
    return Imported(vectors, list(ids), payload, notes=tuple(survey.warnings(survey.kinds())))


def _points(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, value in json_lines(path):
        place = f"{path}:{number}"
        if isinstance(value, dict) and isinstance(value.get("result"), dict):  # an answer of scroll
            held = value["result"].get("points")
        else:
            held = [value]
        if not isinstance(held, list):
            raise InvalidInputError(f"{place}: a point, or an answer with points, is expected")
        for point in held:
            if not isinstance(point, dict):
                raise InvalidInputError(f"{place}: an object with id and vector is expected")
            yield place, point


def _sparse(place: str, vector: object) -> tuple[list[int], list[float]]:
    """Indices and values of the one sparse vector of a point."""
    if isinstance(vector, dict) and "indices" not in vector:
        sparse = {n: v for n, v in vector.items() if isinstance(v, dict) and "indices" in v}
        if len(sparse) > 1:
            raise InvalidInputError(f"{place}: several sparse vectors: {', '.join(sorted(sparse))[:100]}")
        vector = next(iter(sparse.values()), None)
    if not isinstance(vector, dict):
        raise InvalidInputError(f"{place}: no sparse vector (indices and values)")
    indices, values = vector.get("indices"), vector.get("values")
    if not isinstance(indices, list) or not isinstance(values, list) or len(indices) != len(values):
        raise InvalidInputError(f"{place}: indices and values must be lists of one length")
    if not all(type(i) is int and 0 <= i < 2**31 - 1 for i in indices):
        raise InvalidInputError(f"{place}: indices must be whole numbers from 0")
    if not all(type(v) in (int, float) and 0 <= v < 3e38 for v in values):
        raise InvalidInputError(f"{place}: values must be finite numbers from 0")
    if len(set(indices)) != len(indices):
        raise InvalidInputError(f"{place}: an index stands there twice")
    return indices, values


def _named(place: str, point: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id, and the fields of the payload without it."""
    payload = {} if point.get("payload") is None else point["payload"]
    if not isinstance(payload, dict):
        raise InvalidInputError(f"{place}: the payload must be an object")
    fields = dict(payload)
    nested = fields.get("metadata")
    if isinstance(nested, dict) and not set(nested) & (set(fields) - {"metadata"}):
        fields |= fields.pop("metadata")
    given = fields.pop("doc_id", None) if isinstance(fields.get("doc_id"), str) else point.get("id")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str) or not given:
        raise InvalidInputError(f"{place}: an id is needed")
    try:
        check_id(given, place)
    except DatasetError as error:
        raise InvalidInputError(str(error)) from None
    return given, fields


def _text(fields: dict[str, Any], name: str) -> str:
    return fields.pop(name) if isinstance(fields.get(name), str) else ""


QDRANT = Source("qdrant", read)
