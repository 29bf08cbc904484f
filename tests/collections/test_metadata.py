"""Values of metadata as JSON has them."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.metadata import checked_metadata
from splade_engine.errors import DatasetError


def test_infinity_is_refused_and_nan_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('{"_id": "a", "text": "x", "n": NaN, "t": {"deep": [1, NaN]}}\n')
    (document,) = Corpus(file)
    assert document.metadata == {"t": {"deep": [1, None]}}
    for number in ("Infinity", "-Infinity", "1e999", '{"a": [-Infinity]}'):
        file.write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "x", "n": ' + number + "}\n")
        with pytest.raises(DatasetError, match=r"c\.jsonl:2: the field 'n' holds an infinite number"):
            Corpus(file).survey()
    with pytest.raises(DatasetError, match="document 0: the field 'n' holds an infinite number"):
        Corpus([{"id": "a", "text": "x", "n": float("inf")}]).survey()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.timedelta64(5_000_000_000, "ns"), 5.0),  # was 5000000000, as numpy gives it
        (np.timedelta64(1500, "ms"), 1.5),
        (np.array([1_500_000_000, "NaT"], "m8[ns]"), [1.5, None]),
        (np.timedelta64("NaT", "M"), None),
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), None),
        (np.array([["2020-01-01", "NaT"]], "M8[D]"), [["2020-01-01", None]]),
        (np.longdouble(1.5), 1.5),  # was "nested too deeply"
        (np.array([np.longdouble("nan")]), [None]),
    ],
)
def test_numbers_and_times_of_numpy_are_python_s(value: Any, kept: Any) -> None:
    assert checked_metadata({"f": value}, "here") == ({} if kept is None else {"f": kept})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.timedelta64(5, "M"), "a duration of no certain length"),  # was 5
        (np.clongdouble(1), "complex"),
        (Decimal("-Infinity"), "an infinite number"),  # was the text "-Infinity", as NaN was a text
        (np.longdouble("1e400") if np.finfo(np.longdouble).max > 1e308 else np.inf, "an infinite number"),
    ],
)
def test_what_numpy_has_and_json_has_not_is_refused(value: Any, told: str) -> None:
    with pytest.raises(DatasetError, match=f"here: the field 'f' holds {told}, which JSON does not have"):
        checked_metadata({"f": value}, "here")


class Shelf(Enum):
    TOP = "top"
    THIRD = 3


class Colour(str, Enum):  # noqa: UP042  (of which an f-string makes "Colour.RED")
    RED = "red"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Shelf.TOP, "top"),
        (Shelf.THIRD, 3),
        (Colour.RED, "red"),
        (PurePosixPath("a/b.md"), "a/b.md"),
        (MappingProxyType({Colour.RED: [Shelf.THIRD]}), {"red": [3]}),
        (np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0], {"a": 1, "b": 2.5}),  # was [1, 2.5]
    ],
)
def test_what_stands_for_a_value_of_json_becomes_it(value: Any, kept: Any) -> None:
    (found,) = checked_metadata({"f": value}, "here").values()
    assert found == kept
    assert json.dumps(found) == json.dumps(kept)
    assert type(found) is type(kept)


def test_members_of_enumerations_are_texts_like_others() -> None:
    """In an f-string, as ids of passages are made, one is "Colour.RED"."""
    long = "tea " * 40
    records = [{"id": Colour.RED, "text": long, "title": Colour.RED}]
    documents = [Document(Colour.RED, long, Colour.RED)]
    for document in (*Corpus(records, passages=20), *Corpus(documents, passages=20)):
        assert document.id.startswith("red")
        assert {type(document.id), type(document.title)} == {str}


def test_metadata_may_be_any_mapping() -> None:
    (document,) = Corpus([{"id": "a", "text": "x", "metadata": MappingProxyType({"year": 1990})}])
    assert document.metadata == {"year": 1990}


def test_an_id_may_be_a_uuid() -> None:
    (document,) = Corpus([{"id": UUID(int=5), "text": "x"}])
    assert document.id == "00000000-0000-0000-0000-000000000005"


def test_a_title_of_pandas_that_is_not_there_is_none(tmp_path: Path) -> None:
    """`table.to_dict("records")` has NaN where a table has nothing."""
    (document,) = Corpus([{"id": "a", "text": "x", "title": float("nan"), "metadata": float("nan")}])
    assert (document.title, document.metadata) == ("", {})
    with pytest.raises(DatasetError, match="document 0: the field text is null"):
        list(Corpus([{"id": "a", "text": float("nan")}]))


HELD: list[Any] = []
HELD.append(HELD)
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"id": 10**5000, "text": "x"}, "the id is a number of thousands of digits"),
        ({"id": "a", "text": 10**5000}, "the field text must be a string, got "),
        ({"id": "a", "text": {(1, 2): 3}}, r"the field text must be a string, got \{\(1, 2\): 3\}"),
        ({"id": "a", "text": HELD}, "the field text must be a string, got "),
        ({"id": "a", "text": "x", "title": DEEP}, "the field title must be a string, got "),
        (HELD, "an object with id and text is needed, got "),
        (Document(10**5000, "x"), "its id must be a text, got "),  # type: ignore[arg-type]
    ],
    ids=range(7),
)
def test_what_cannot_be_written_as_json_is_one_line(record: Any, told: str) -> None:
    with pytest.raises(DatasetError, match=f"document 0: {told}") as refused:
        list(Corpus([record]))
    assert len(str(refused.value)) < 200
