from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import InvalidInputError
from splade_engine.index import SparseIndex, search
from splade_engine.index.filter.evaluate import matching
from splade_engine.index.filter.nodes import HoldsWords, Like
from splade_engine.index.filter.parse import (
    Compare,
    Every,
    Filter,
    In,
    IsNull,
    Not,
    Some,
    columns_of,
    parse_where,
)
from tests.index import made

TABLE = made.payload(60).cast(
    pa.schema(
        [
            ("title", pa.large_string()),
            ("year", pa.int64()),
            ("open", pa.bool_()),
            ("grade", pa.float64()),
            ("tags", pa.large_list(pa.large_string())),
        ]
    )
)
ROWS = TABLE.to_pylist()


def truth(part: Filter, row: dict[str, Any]) -> bool | None:
    """SQL's three-valued logic, one row at a time."""
    if isinstance(part, Not):
        inner = truth(part.part, row)
        return None if inner is None else not inner
    if isinstance(part, Every | Some):
        found = [truth(p, row) for p in part.parts]
        decisive = isinstance(part, Some)
        return decisive if decisive in found else None if None in found else not decisive
    value = row.get(part.column)
    if isinstance(part, IsNull):
        return value is None
    if value is None:
        return None
    if isinstance(part, In):
        return any(v in part.values for v in value) if isinstance(value, list) else value in part.values
    if isinstance(value, list):
        return (part.value in value) == (part.operator == "=")
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    return tests[part.operator](value, part.value)


NUMBERS = st.one_of(st.integers(1975, 2035), st.floats(0, 8), st.integers(-(2**70), 2**70))
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
TITLES = st.sampled_from([f"title {i} é" for i in range(8)] + ["", 'it\'s "quoted" \\ \n'])
LEAVES = st.one_of(
    st.builds(Compare, st.sampled_from(["year", "grade"]), OPERATORS, NUMBERS),
    st.builds(Compare, st.just("title"), OPERATORS, TITLES),
    st.builds(Compare, st.just("open"), st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(Compare, st.just("tags"), st.sampled_from(["=", "!="]), st.sampled_from(["even", "x", "no"])),
    st.builds(In, st.sampled_from(["year", "grade"]), st.lists(NUMBERS, max_size=4).map(tuple)),
    st.builds(In, st.just("title"), st.lists(TITLES, max_size=3).map(tuple)),
    st.builds(In, st.just("tags"), st.lists(st.sampled_from(["even", "x", "no"]), max_size=2).map(tuple)),
    st.builds(IsNull, st.sampled_from(["year", "title", "nowhere", "tags"])),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Every, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Some, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def written(part: Filter) -> str:
    """The expression of a filter."""

    def literal(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return repr(value)

    if isinstance(part, Not):
        return f"not ({written(part.part)})"
    if isinstance(part, Every | Some):
        return (" and " if isinstance(part, Every) else " OR ").join(f"({written(p)})" for p in part.parts)
    column = f"`{part.column}`"
    if isinstance(part, IsNull):
        return f"{column} is null"
    if isinstance(part, In):
        return f"{column} in [{', '.join(map(literal, part.values))}]"
    return f"{column} {part.operator} {literal(part.value)}"


def as_mapping(part: Filter) -> dict[str, Any]:
    """The same filter as Python values."""
    if isinstance(part, Not):
        return {"$not": as_mapping(part.part)}
    if isinstance(part, Every | Some):
        return {"$and" if isinstance(part, Every) else "$or": [as_mapping(p) for p in part.parts]}
    if isinstance(part, IsNull):
        return {part.column: None}
    if isinstance(part, In):
        return {part.column: list(part.values)}
    return {part.column: {part.operator: part.value}}


@settings(max_examples=400, deadline=None)
@given(FILTERS)
def test_both_notations_mean_the_filter_and_evaluate_as_sql(part: Filter) -> None:
    assert parse_where(written(part)) == part
    assert parse_where(as_mapping(part)) == part
    expected = [truth(part, row) is True for row in ROWS]
    assert matching(part, TABLE, 60).tolist() == expected


def test_precedence_and_spelling() -> None:
    a, b, c = Compare("a", "=", 1), Compare("b", "=", 2), Compare("c", "=", 3)
    assert parse_where("a = 1 or b == 2 and not c=3") == Some((a, Every((b, Not(c)))))
    assert parse_where("(a=1 OR b=2) AND c = 3") == Every((Some((a, b)), c))
    assert parse_where("a <> -1.5e3") == Compare("a", "!=", -1500.0)
    assert parse_where("a not in (1, 2)") == Not(In("a", (1, 2)))
    assert parse_where("a is not null") == Not(IsNull("a"))
    assert parse_where("meta.year-2 = 'x\\'y'") == Compare("meta.year-2", "=", "x'y")
    assert parse_where("`odd name` in []") == In("odd name", ())
    assert parse_where("is = true") == Compare("is", "=", True)
    assert parse_where({"year": {">=": 1990, "<": 2000}}) == Every(
        (Compare("year", ">=", 1990), Compare("year", "<", 2000))
    )
    assert columns_of(parse_where("a=1 or not (b=2 and c in [3])")) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column at character 1"),
        ("year", "expected a comparison, 'in' or 'is null' at character 5"),
        ("year >=", "expected a number, a quoted text, true or false at character 8"),
        ("year >= 1990 and", "expected a column at character 17"),
        ("year >= 1990 lang = 'de'", "expected 'and', 'or' or the end at character 14: \"lang = 'de'\""),
        ("year >= 1990)", "expected 'and', 'or' or the end at character 13"),
        ("(year >= 1990", "expected '\\)' at character 14"),
        ("year in 3", "expected '\\(' at character 9"),
        ("year in [3", "expected ',' at character 11, where it ends"),
        ("year in [3 4]", "expected ',' at character 12"),
        ("year is 3", "expected 'null'"),
        ("year = lang", "expected a number, a quoted text"),
        ("year = 'open", "not understood at character 7"),
        (r"path = 'C:\new'", "a backslash stands before a quote or a backslash only at character 11: .*new"),
        (r"a in ['\\', '\.']", "a backslash only at character 14"),
        ("year = " + "9" * 5000, "a number of more than 400"),
        ("year = 19x", "not understood at character 7"),
        ("__import__('os').system('x')", "not understood at character 17"),
        ("year >= 1990; drop table", "not understood"),
        ("not " * 60 + "a = 1", "nested deeper than 50"),
        ("(" * 5000, "nested deeper than 50"),
        ("a = 1 or " * 9000 + "a = 1", "characters, at most"),
    ],
)
def test_what_is_not_understood_is_pointed_at(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_where(text)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "an empty filter"),
        ({"a": {"~": 1}}, "'~' is none of"),
        ({"a": object()}, "neither text, number nor bool"),
        ({"a": [object()]}, "neither text, number nor bool"),
        ({"a": {}, "b": 1}, "a: a comparison is expected, got {}"),
        ({"a": {"between": b"ab"}}, "a: between takes two values, got b'ab'"),
        ({"a": {"contains": "\ud800"}}, "a: contains: .* holds half a surrogate pair, not text"),
        ({"a": {"prefix": "\ud800"}}, "a: prefix: .* holds half a surrogate pair, not text"),
        ({"$and": {"a": 1}}, r"\$and takes a list"),
        ({"$or": []}, r"\$or takes a list"),
        ({"$or": [1]}, "expected a mapping"),
        ({"$not": 3}, "expected a mapping"),
        (3, "an expression or a mapping, got int"),
    ],
)
def test_bad_mappings(mapping: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_where(mapping)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Every(()), "an empty filter"),
        (lambda: Some(iter(())), "an empty filter"),
        (lambda: Every(("year",)), "a filter is expected, got 'year'"),
        (lambda: Not(5), "a filter is expected, got 5"),
        (lambda: Compare("year", "~", 1), "'~' is none of =, !="),
        (lambda: Compare(1, "=", 1), "the name of a column is expected, got 1"),
        (lambda: Compare("year", "=", [1]), r"year: \[1\] is neither text, number nor bool"),
        (lambda: Compare("day", "=", date(2024, 3, 1)), r"pass the text that it is kept as \(isoformat\)"),
        (lambda: In("year", (None,)), "year: None is neither text"),
        (lambda: IsNull(""), "the name of a column is expected, got ''"),
        (lambda: Like("title", "suffix", "x"), "title: 'suffix' is none of contains, prefix"),
        (lambda: HoldsWords("moon"), "words: a list of strings is expected, got one string"),
        (lambda: HoldsWords(("a", "\ud800")), "words: .* holds half a surrogate pair, not text"),
        (lambda: HoldsWords(()), r"words: one word or several are expected, got \(\)"),
        (
            lambda: parse_where(reduce(lambda part, _: Not(part), range(999), IsNull("a"))),
            "nested deeper than",
        ),
    ],
)
def test_nodes_check_what_they_are_made_of(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize("where", [{"n": 10**5000}, {"n": {"<": -(10**5000)}}, {"n": [1, 10**5000, 2]}])
def test_a_number_of_thousands_of_digits_is_one_line(where: Any) -> None:
    """The answers to filters are kept under how they look, which such a number has no way to."""
    with pytest.raises(InvalidInputError, match="where: n: a number of more than 400 digits"):
        parse_where(where)
    assert parse_where({"n": [2**70, 3]}) == In("n", (2**70, 3))


def test_nodes_keep_plain_values() -> None:
    """Answers are kept under what a filter looks like, and two long arrays look alike."""
    numbers = np.arange(2000)
    assert In("year", numbers) == In("year", tuple(range(2000)))
    assert repr(In("year", numbers)) != repr(In("year", np.where(numbers == 1000, 5, numbers)))
    given = (np.int8(1), np.float32(2), np.bool_(True), np.str_("x"))
    assert [type(Compare("a", "=", value).value) for value in given] == [int, float, bool, str]
    assert HoldsWords(["Moon"]) == HoldsWords(("moon",))
    assert parse_where({"year": np.int64(1999)}) == Compare("year", "=", 1999)


def test_a_mapping_that_holds_itself() -> None:
    loop: dict[str, Any] = {}
    loop["$not"] = loop
    with pytest.raises(InvalidInputError, match="nested deeper"):
        parse_where(loop)


@pytest.mark.parametrize(
    "text", ["year = 'x'", "title = 3", "open = 1", "open > true", "tags < 'a'", "tags = 3", "year = true"]
)
def test_wrong_types_are_named(text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"where: column '{text.split()[0]}'"):
        matching(parse_where(text), TABLE, 60)


def test_a_selective_filter_still_gives_k_hits(tmp_path: Path) -> None:
    ix = made.index(tmp_path / "ix", 400)
    ix.add(made.vectors(5, 30), [f"n{i}" for i in range(30)])  # without payload: null throughout
    queries = made.vectors(9, 6)
    mask = matching(
        parse_where("year < 1995 and open = true"), ix.reader.snapshot.segments[0].payload.table, 400
    )
    found = ix.search(queries, 3, where="year < 1995 and open = true", exact=True)
    every = ix.search(queries, 430, exact=True)
    for i in range(len(queries)):
        wanted = [o for o in every.ordinals[i].tolist() if 0 <= o < 400 and mask[o]][:3]
        assert found.ordinals[i][found.ordinals[i] >= 0].tolist() == wanted
    assert 20 < mask.sum() < 60
    assert (found.ordinals >= 0).sum() > 12
    missing = ix.search(queries, 430, where={"title": None}, exact=True).ordinals
    assert set(missing[missing >= 0].tolist()) <= set(range(400, 430))
    ix.delete(["5"])
    assert "5" not in np.concatenate(ix.search(queries, 400, where="year < 1995", exact=True).ids)
    with pytest.raises(
        InvalidInputError, match="no column 'yeer'; the index has: grade, open, tags, title, year"
    ):
        ix.search(queries, where="yeer = 3")


def test_the_answers_of_the_last_filters_are_kept(tmp_path: Path) -> None:
    ix, queries = made.changed_index(tmp_path / "ix"), made.vectors(9, 3)
    filters = [f"year >= {year}" for year in range(1980, 1992)]
    first = [ix.search(queries, 5, where=w, exact=True).ids for w in filters]
    masks = ix.reader.snapshot.masks
    assert list(masks) == [search._key(parse_where(w)) for w in filters[-search.KEPT_MASKS :]]
    with mock.patch("splade_engine.index.filter.evaluate.matching") as evaluated:
        assert ix.search(queries, 5, where={"year": {">=": 1991}}, exact=True).ids == first[-1]
    assert not evaluated.called
    assert [ix.search(queries, 5, where=w, exact=True).ids for w in filters] == first
    assert ix.search(queries, 5, where="open = true", exact=True).ids
    with pytest.raises(InvalidInputError, match="column 'open' is of type bool"):
        ix.search(queries, 5, where="open = 1", exact=True)
    gone = first[-1][0][0]
    ix.delete([gone])
    assert gone not in ix.search(queries, 5, where=filters[-1], exact=True).ids[0]


def test_an_index_without_payload_has_no_columns(tmp_path: Path) -> None:
    ix = made.SparseIndex.build(tmp_path / "ix", made.vectors(1, 5))
    with pytest.raises(InvalidInputError, match="no column 'a'; the index has: none"):
        ix.search(made.vectors(2, 1), where="a = 1")


NEAR = sorted(
    {
        base + step
        for base in (0, 2**53, -(2**53), 2**62, 2**63 - 1, -(2**63))
        for step in (-2, -1, 0, 1, 2)
        if -(2**63) <= base + step < 2**63
    }
)
EXTREMES = [*NEAR, 2**63, -(2**63) - 1, 10**400, -(10**400), 0.5, -0.5, 2.0**53, 2.0**63, 1e308, 1e-308]
EXTREMES += [float("inf"), float("-inf")]


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
def test_numbers_are_compared_exactly(operator: str) -> None:
    """Whole numbers with fractions and beyond 2^53, where a conversion to float would change them."""
    table = pa.table({"i": NEAR, "f": [float(v) if v != -1 else -0.0 for v in NEAR]})
    for column in ("i", "f"):
        stored = table[column].to_pylist()
        for value in EXTREMES:
            part = Compare(column, operator, value)
            expected = [truth(part, {column: number}) for number in stored]
            assert matching(part, table, len(NEAR)).tolist() == expected, (column, operator, value)
    for values in ((2**53 + 1, 0.5), (2.0**53, 10**400), (float("inf"),), (-(2.0**63), 2.0**63, 1.5, -0.0)):
        for column in ("i", "f"):
            expected = [number in values for number in table[column].to_pylist()]
            assert matching(In(column, values), table, len(NEAR)).tolist() == expected


def test_nan_is_a_missing_value(tmp_path: Path) -> None:
    payload = pa.table({"depth": [12.5, float("nan"), 3.0, None]})
    ix = SparseIndex.build(tmp_path / "ix", made.vectors(1, 4), payload=payload)
    assert [row["depth"] for row in ix.payload([0, 1, 2, 3])] == [12.5, None, 3.0, None]
    old = pa.table({"depth": pa.array([12.5, float("nan"), 3.0, None], pa.float64())})
    for where, rows in (
        ("depth != 3", [0]),
        ("depth is null", [1, 3]),
        ("not (depth > 5)", [2]),
        ("not (depth in [3])", [0]),
    ):
        assert np.flatnonzero(matching(parse_where(where), old, 4)).tolist() == rows, (
            "as stored by older releases"
        )
    for wanted in (float("nan"), {"in": [1, 2.5, float("nan")]}):
        with pytest.raises(InvalidInputError, match="compared with nan"):
            matching(parse_where({"depth": wanted}), old, 4)


def test_a_million_values_are_no_wait() -> None:
    """Each was looked at four times in Python: nine seconds."""
    table = pa.table({"x": pa.array(["7", "no"], pa.large_string()), "n": [7, -1], "r": [7.0, 0.5]})
    texts, numbers = [str(i) for i in range(1_000_000)], list(range(1_000_000))
    floats = [7.0, 7.25] + [v + 0.25 for v in numbers]
    start = time.process_time()
    for name, values in (("x", texts), ("n", numbers), ("r", numbers), ("n", floats), ("r", floats)):
        assert matching(parse_where({name: {"in": values}}), table, 2).tolist() == [True, False]
    assert time.process_time() - start < 6
    for odd in (b"1", [1], 1 + 1j):
        with pytest.raises(InvalidInputError, match="is neither text, number nor bool"):
            parse_where({"x": {"in": [*texts[:3], odd]}})
    for name, odd in (("x", 1), ("n", True), ("n", "1"), ("r", False), ("r", float("nan"))):
        with pytest.raises(InvalidInputError, match="is of type"):
            matching(parse_where({name: {"in": [odd]}}), table, 2)
    exact = parse_where({"r": {"in": [2**53 + 1, 7]}})
    assert matching(exact, table, 2).tolist() == [True, False], "a double cannot hold 2^53 + 1"
