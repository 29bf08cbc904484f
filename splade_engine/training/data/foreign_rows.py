"""Rows of other trainers whose form is another one, under the names of `examples.py`."""

from __future__ import annotations

from typing import Any

from splade_engine.errors import DatasetError

# positives, hard negatives, ordinary negatives
OF_DPR = ("positive_ctxs", "hard_negative_ctxs", "negative_ctxs")


def without_nulls(record: dict[str, Any]) -> dict[str, Any]:
    """A row without negatives that are null: columns of a table are so where a row has fewer than others."""
    return {name: v for name, v in record.items() if v is not None or not name.startswith("negative")}


def of_dpr(record: dict[str, Any]) -> dict[str, Any]:
    """A row of DPR's; any other as it is.

    As in DPR's trainer the ordinary negatives serve where there are no hard ones.
    """
    positives, hard, ordinary = OF_DPR
    if positives not in record:
        return record
    rest = {name: value for name, value in record.items() if name not in OF_DPR}
    negatives = record.get(hard) or record.get(ordinary) or []
    return {**rest, "positive_passages": record[positives], "negative_passages": negatives}


def as_object(value: object, place: str) -> dict[str, Any]:
    """A row that is an object as it is, and one that is an array of ids, as ColBERT's are, under our names.

    Args:
        value: `[query, positive, negative, ...]`, or with a teacher's scores
            `[query, [positive, score], [negative, score], ...]`.
        place: `file:line`, begins the error message.

    Raises:
        DatasetError: it is neither.
    """
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or len(value) < 2:
        raise DatasetError(f"{place}: expected a JSON object, got {type(value).__name__}")
    query, *documents = value
    pairs = [one for one in documents if isinstance(one, list) and len(one) == 2]
    if not pairs:
        return {"query_id": query, "positive_id": documents[0], "negative_ids": documents[1:]}
    if len(pairs) < len(documents):
        raise DatasetError(f"{place}: an array of ids has a score beside some documents, not beside all")
    (positive, *negatives), scores = zip(*pairs, strict=True)
    return {"query_id": query, "positive_id": positive, "negative_ids": negatives, "scores": list(scores)}
