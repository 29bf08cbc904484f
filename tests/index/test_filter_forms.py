"""Filters in the forms of other frameworks, nested fields, parts and beginnings of texts."""

from __future__ import annotations

import enum
import json
import unicodedata
from typing import Any

import pyarrow as pa
import pytest

from splade_engine.errors import InvalidInputError
from splade_engine.index import SparseIndex
from splade_engine.index.filter.evaluate import matching
from splade_engine.index.filter.nested import JSON_COLUMN
from splade_engine.index.filter.nodes import Compare, Every, In, IsNull, Like, Not, Some, columns_of
from splade_engine.index.filter.parse import parse_where
from tests.index import made

ROWS: list[dict[str, Any]] = [
    {"title": "The Moon", "year": 1999, "tags": ["Big", "red"], "by": {"name": "Ada", "age": 36}},
    {"title": "the moon rises", "year": 2005, "tags": ["red"], "by": {"name": "Bob", "age": 50.5}},
    {"title": "Bread", "year": 2010, "tags": [], "by": {"name": ["x"], "on": True}},
    {"title": None, "year": None, "tags": None, "by": {"authors": [{"name": "Ada"}, {"name": "Cy"}]}},
    {"title": "100% moon_light", "year": 1999, "tags": ["x"], "day": "2024-03-01"},
    {"title": "", "year": 1, "tags": ["reddish"], "day": "2023-12-31"},
]
TABLE = pa.table(
    {
        "title": pa.array([row["title"] for row in ROWS], pa.large_string()),
        "year": pa.array([row["year"] for row in ROWS], pa.int64()),
        "tags": pa.array([row["tags"] for row in ROWS], pa.large_list(pa.large_string())),
        "day": pa.array([row.get("day") for row in ROWS], pa.large_string()),
        JSON_COLUMN: pa.array(
            [json.dumps({"by": row["by"]}) if "by" in row else None for row in ROWS], pa.large_string()
        ),
    }
)


def rows(where: Any) -> list[int]:
    return matching(parse_where(where), TABLE, len(ROWS)).nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("title contains 'moon'", [1, 4]),
        ("title contains 'Moon'", [0]),
        ("title contains '%'", [4]),
        ("title contains ''", [0, 1, 2, 4, 5]),
        ("title prefix 'the'", [1]),
        ("not (title prefix 'the')", [0, 2, 4, 5]),
        ("title not contains 'moon'", [0, 2, 5]),
        ("tags contains 'red'", [0, 1]),
        ("tags prefix 'red'", [0, 1, 5]),
        ("year between 1999 and 2005", [0, 1, 4]),
        ("year not between 1999 and 2005 and title contains 'e'", [2]),
        ("year between 2 and 1", []),
        ("day >= '2024-01-01'", [4]),
        ("day between '2023-12-31' and '2024-02-01'", [5]),
        ("by.name = 'Ada'", [0]),
        ("by.name in ['Ada', 'Bob']", [0, 1]),
        ("by.age > 36", [1]),
        ("by.age >= 36 and year < 2000", [0]),
        ("by.on = true", [2]),
        ("by.authors.name = 'Cy'", [3]),
        ("by.name is null", [2, 3, 4, 5]),
        ({"title": {"contains": "moon"}}, [1, 4]),
        ({"title": {"prefix": "the"}}, [1]),
        ({"year": {"between": [1999, 2005]}}, [0, 1, 4]),
        ({"by.name": "Ada"}, [0]),
        # LangChain's vector stores
        ({"year": {"$gte": 2005}}, [1, 2]),
        ({"year": {"$gt": 1999, "$lt": 2010}}, [1]),
        ({"year": {"$eq": 1999}}, [0, 4]),
        ({"year": {"$ne": 1999}}, [1, 2, 5]),
        ({"year": {"$lte": 1}}, [5]),
        ({"year": {"$in": [1, 2005]}}, [1, 5]),
        ({"year": {"$nin": [1, 2005]}}, [0, 2, 4]),
        ({"year": {"$between": (1999, 2005)}}, [0, 1, 4]),
        ({"year": {"$exists": True}}, [0, 1, 2, 4, 5]),
        ({"year": {"$exists": False}}, [3]),
        ({"title": {"$like": "%moon%"}}, [1, 4]),
        ({"title": {"$ilike": "the moon%"}}, [0, 1]),
        ({"title": {"$like": "Bread"}}, [2]),
        ({"$or": [{"year": {"$lt": 2}}, {"$and": [{"year": 1999}, {"day": {"$exists": True}}]}]}, [4, 5]),
        ({"$not": {"year": {"$gte": 1999}}}, [5]),
        # LlamaIndex
        ({"filters": [{"key": "year", "value": 1999}]}, [0, 4]),
        ({"filters": [{"key": "year", "value": 1999, "operator": ">"}], "condition": "and"}, [1, 2]),
        ({"filters": [{"key": "year", "value": 1}, {"key": "title", "value": "Bread"}], "condition": "or"},
         [2, 5]),
        ({"filters": [{"key": "year", "value": 1}, {"key": "title", "value": "Bread"}], "condition": "not"},
         [0, 1, 3, 4]),
        ({"filters": [{"key": "year", "value": [1, 2005], "operator": "nin"}]}, [0, 2, 4]),
        ({"filters": [{"key": "tags", "value": ["Big", "x"], "operator": "any"}]}, [0, 4]),
        ({"filters": [{"key": "tags", "value": ["Big", "red"], "operator": "all"}]}, [0]),
        ({"filters": [{"key": "tags", "value": "red", "operator": "contains"}]}, [0, 1]),
        ({"filters": [{"key": "title", "value": "moon", "operator": "text_match"}]}, [1, 4]),
        ({"filters": [{"key": "title", "value": "MOON", "operator": "text_match_insensitive"}]}, [0, 1, 4]),
        ({"filters": [{"key": "year", "value": None, "operator": "is_empty"}]}, [3]),
        ({"filters": [{"filters": [{"key": "year", "value": 1}]}, {"key": "day", "value": "2023-12-31"}]},
         [5]),
        # Haystack, where a missing field is unequal to everything
        ({"field": "meta.year", "operator": "==", "value": 1999}, [0, 4]),
        ({"field": "meta.year", "operator": "!=", "value": 1999}, [1, 2, 3, 5]),
        ({"field": "meta.year", "operator": "not in", "value": [1999, 1]}, [1, 2, 3]),
        ({"field": "year", "operator": "in", "value": [1999, 1]}, [0, 4, 5]),
        ({"operator": "AND", "conditions": [{"field": "meta.year", "operator": ">=", "value": 1999},
                                            {"field": "meta.year", "operator": "<", "value": 2010}]},
         [0, 1, 4]),
        ({"operator": "OR", "conditions": [{"field": "meta.year", "operator": "==", "value": 1},
                                           {"field": "meta.year", "operator": "==", "value": None}]}, [3, 5]),
        ({"operator": "NOT", "conditions": [{"field": "meta.year", "operator": ">", "value": 1}]}, [3, 5]),
        ({"field": "meta.by.name", "operator": "==", "value": "Bob"}, [1]),
    ],
)  # fmt: skip
def test_forms(where: Any, expected: list[int]) -> None:
    assert rows(where) == expected


def test_operators_may_be_members_of_an_enumeration() -> None:
    class Operator(enum.StrEnum):
        GT = ">"

    class Condition(enum.StrEnum):
        OR = "or"

    given = {"filters": [{"key": "year", "value": 1999, "operator": Operator.GT}], "condition": Condition.OR}
    assert rows(given) == [1, 2]


def test_what_is_made() -> None:
    assert parse_where("a between 1 and 2 and b = 3") == Every(
        (Every((Compare("a", ">=", 1), Compare("a", "<=", 2))), Compare("b", "=", 3))
    )
    assert parse_where("a not contains 'x'") == Not(Like("a", "contains", "x"))
    assert parse_where({"a": {"$ne": None}}) == Not(IsNull("a"))
    assert parse_where({"field": "meta.a", "operator": "not in", "value": [1]}) == Some(
        (IsNull("a"), Not(In("a", (1,))))
    )
    assert parse_where({"field": "x", "value": 3}) == Every(
        (Compare("field", "=", "x"), Compare("value", "=", 3))
    )
    assert columns_of(parse_where("a prefix 'x' or not b.c contains 'y'")) == {"a", "b.c"}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("year between 1 2", "expected 'and' at character 16"),
        ("year > 1e999", "a number that is too large at character 8: '1e999'"),
        ("year in [1, -1e400]", "a number that is too large"),
        ("title contains 3", "expected a quoted text at character 16"),
        ("title prefix", "expected a number, a quoted text"),
        ({1: 2}, "the name of a field is expected, got 1"),
        ({"$not": {None: 2}}, "the name of a field is expected, got None"),
        ({"year": {"between": 3}}, "year: between takes two values, got 3"),
        ({"year": {"between": [1, 2, 3]}}, "year: between takes two values"),
        ({"title": {"contains": 3}}, "title: contains takes a text, got 3"),
        ({"title": {"$like": "a%b"}}, r"title: \$like takes %part% or beginning%, got 'a%b'"),
        ({"year": {"$exists": 1}}, r"year: \$exists takes true or false, got 1"),
        ({"year": {"$regex": "x"}}, r"year: '\$regex' is none of =, !=, <"),
        ({"operator": "XOR", "conditions": [{"a": 1}]}, "operator 'XOR' is none of AND, OR, NOT"),
        ({"operator": "AND", "conditions": []}, "conditions takes a list of filters"),
        ({"field": 3, "operator": "==", "value": 1}, "field: a name is expected, got 3"),
        (
            {"filters": [{"key": "a", "value": 1}], "condition": "xor"},
            "condition 'xor' is none of and, or, not",
        ),
        ({"filters": [{"name": "a", "value": 1}]}, "a filter with key, operator and value is expected"),
        ({"filters": [{"key": "a", "value": 3, "operator": "all"}]}, "a: all: a list"),
    ],
)
def test_what_is_not_understood(where: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_where(where)


def test_lists_that_hold_a_text_in_whatever_case() -> None:
    """Lower case was Arrow's for one and Python's for the other: a text in Greek did not find itself."""
    texts = ["ΟΔΟΣ", "οδος", "İzmir", "straße", "Big", "bigger", "ﬂ"]
    table = pa.table({"tags": pa.array([[text] for text in texts], pa.large_list(pa.large_string()))})

    def holding(part: str) -> list[int]:
        return (
            matching(Like("tags", "contains", part, ignore_case=True), table, len(texts))
            .nonzero()[0]
            .tolist()
        )

    assert holding("ΟΔΟΣ") == holding("οδος") == [0, 1]
    assert holding("İzmir") == [2] and holding("STRASSE") == [] and holding("ﬂ") == [6]
    assert holding("bIG") == [4] and holding("ig") == []


def test_kinds_of_columns_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="column 'year' is of type int64: no contains"):
        rows("year contains '1'")
    with pytest.raises(InvalidInputError, match=r"'by\.age' is of type double, compared with 'old'"):
        rows("by.age = 'old'")


def test_a_path_that_no_document_has_is_refused(tmp_path: Any) -> None:
    index = SparseIndex.build(tmp_path / "ix", made.vectors(1, len(ROWS)), payload=TABLE)
    queries = made.vectors(2, 3)
    found = index.search(queries, 6, where="by.name = 'Ada'", exact=True)
    assert set(found.ordinals[found.ordinals >= 0].tolist()) <= {0}
    with pytest.raises(InvalidInputError, match=r"where: no column 'by\.nobody'; the index has: day"):
        index.search(queries, where="by.nobody = 1")
    assert index.reader.column("by.name", [1, 0, 4]) == ["Bob", "Ada", None]
    assert index.reader.column("tags", [0, 3]) == [["Big", "red"], None]
    assert index.reader.ordinals("year = 1999").tolist() == [0, 4]
    assert index.reader.beginnings("title", [0, 3], 5) == [("The M", True), ("", False)]
    assert index.payload([0], without=("title", "by", JSON_COLUMN))[0].keys() == {"year", "tags", "day"}


def test_the_writer_of_metadata_uses_the_column_that_filters_read() -> None:
    from splade_engine.collections.metadata import METADATA_JSON

    assert METADATA_JSON == JSON_COLUMN


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("city = 'Z\u00fcrich'", [0, 1]),
        ("city != 'Z\u00fcrich'", [2]),
        ("city in ['Z\u00fcrich', 'x']", [0, 1]),
        ("city not in ['Z\u00fcrich']", [2]),
        ("city contains '\u00fcr'", [0, 1]),
        ("city prefix 'Z\u00fc'", [0, 1]),
        ("tags contains 'caf\u00e9'", [0, 1]),
        ("tags != 'caf\u00e9'", [2]),
        ("by.name = 'Ren\u00e9'", [0, 1]),
    ],
)
def test_a_letter_with_an_accent_is_the_same_in_one_character_or_two(
    where: str, expected: list[int], form: str
):
    """Names of files are decomposed on macOS; `contains` on lists asks for whole items in either form."""
    rows = [
        {"city": unicodedata.normalize(of, "Z\u00fcrich"), "tags": [unicodedata.normalize(of, "caf\u00e9")]}
        for of in ("NFC", "NFD")
    ]
    names = [json.dumps({"by": {"name": unicodedata.normalize(of, "Ren\u00e9")}}) for of in ("NFC", "NFD")]
    table = pa.table(
        {
            "city": pa.array([*(row["city"] for row in rows), "Zurich"], pa.large_string()),
            "tags": pa.array(
                [*(row["tags"] for row in rows), ["caf\u00e9s", "cafe"]], pa.large_list(pa.large_string())
            ),
            JSON_COLUMN: pa.array([*names, json.dumps({"by": {"name": "Rene"}})], pa.large_string()),
        }
    )
    asked = parse_where(unicodedata.normalize(form, where))
    assert matching(asked, table, 3).nonzero()[0].tolist() == expected
    for column, part in (("city", "\u00dcR"), ("tags", "CAF\u00c9")):
        like = Like(column, "contains", unicodedata.normalize(form, part), ignore_case=True)
        assert matching(like, table, 3).nonzero()[0].tolist() == [0, 1]
