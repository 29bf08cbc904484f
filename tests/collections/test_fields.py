"""Metadata as columns: every field can be filtered by the values that are of its kind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_engine import SearchEngine
from splade_engine.collections.fields import MAX_COLUMNS, FieldSurvey, payload_table
from splade_engine.collections.metadata import metadata_json, metadata_of
from splade_engine.errors import DatasetError, InvalidInputError
from tests.fake_encoder import FakeEncoder

LARGE = 2**53 + 1


def survey(*values: Any) -> FieldSurvey:
    found = FieldSurvey()
    for number, value in enumerate(values):
        found.note(f"d{number}", {} if value is None else {"f": value})
    return found


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, "unknown"], "int"),
        (["unknown", 1, 2], "int"),
        (["a", 1], "text"),  # as many: the first one
        ([1, "a"], "int"),
        ([1, 2.5], "float"),
        ([1, LARGE], "int"),
        ([1, LARGE, 2.5], "float"),
        ([1, 2**63], "int"),
        ([2**63, {"a": 1}, ["a", 1]], "json"),
        ([True, 1, False], "bool"),
        ([[], ["a"], "a"], "texts"),
        ([None, None], None),
        (["half \ud800", "a"], "text"),
    ],
)
def test_a_field_is_of_the_kind_of_most_of_its_values(values: list[Any], kind: str | None) -> None:
    assert survey(*values).kinds() == ({} if kind is None else {"f": kind})


@pytest.mark.parametrize(
    ("values", "column", "kind"),
    [
        (["unknown", "none", 1], "int", "int"),  # one that fits decides
        ([1, 2, "a"], "text", "text"),
        ([1, 2], "float", "int"),  # joined, they are floats
        ([1, 2.5], "int", "float"),
        ([1, LARGE], "float", "float"),
        ([{"a": 1}], "int", "json"),
        ([1], "null", "int"),
    ],
)
def test_a_column_of_the_index_decides(values: list[Any], column: str, kind: str) -> None:
    assert survey(*values).kinds({"f": column}) == {"f": kind}


@pytest.mark.parametrize(
    ("value", "column", "message"),
    [
        ("2011", "int", "document 'd1': field 'f' is \"2011\", but in the index it holds whole numbers"),
        (True, "float", "field 'f' is true, but in the index it holds numbers"),
        (3, "texts", "field 'f' is 3, but in the index it holds lists of text"),
    ],
)
def test_a_field_that_no_column_takes_is_refused(value: Any, column: str, message: str) -> None:
    with pytest.raises(DatasetError) as refused:
        survey({"kept": "as JSON"}, value).kinds({"f": column})
    assert message in str(refused.value)


def test_fields_beyond_the_columns_stay_json_and_are_told() -> None:
    found = FieldSurvey()
    found.note("d", {f"f{i}": i for i in range(MAX_COLUMNS + 1)})
    kinds = found.kinds({"other": "int"})
    assert list(kinds.values()).count("int") == MAX_COLUMNS - 1
    assert found.warnings(kinds)[0].startswith(f"field 'f{MAX_COLUMNS - 1}': cannot be filtered (1 values, ")


def test_of_many_fields_only_some_are_told() -> None:
    """A record of 10,000 fields gave as many warnings."""
    survey = FieldSurvey()
    survey.note("a", {f"f{i}": i for i in range(10_000)})
    survey.note("b", {f"f{i}": "x" for i in range(10_000)})
    told = survey.warnings(survey.kinds())
    assert len(told) == 21 and told[-1] == "9,980 more fields hold values that cannot be filtered"


def test_what_does_not_fit_is_told_once() -> None:
    found = survey(1, 2, "unknown", "none", 2**70)
    assert found.warnings(found.kinds()) == [
        "field 'f': 3 of 5 values are not whole numbers (\"unknown\" in document 'd2'); they are kept, but "
        "count as missing in filters"
    ]
    assert survey(1, None, 2).warnings({"f": "int"}) == []


def test_a_column_that_takes_no_value_is_told() -> None:
    """Lists of numbers were added to a column of whole numbers without a word."""
    found = survey([1, 2], {"a": 1})
    kinds = found.kinds({"f": "int"})
    assert found.warnings(kinds, {"f": "int"}) == [
        "field 'f': 2 of 2 values are not whole numbers ([1, 2] in document 'd0'); they are kept, but count "
        "as missing in filters"
    ]
    assert found.warnings(kinds) == [], "there is no column that they are missing in"


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**53, LARGE, -LARGE, 2**63 - 1, 2**63, -(2**63)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.lists(st.one_of(st.text(max_size=2), st.integers()), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "_json", "title", ""]), values), min_size=1))
def test_every_value_comes_back(rows: list[dict[str, Any]]) -> None:
    """Whatever is mixed: equal, but a whole number among others may come back as a float."""
    found = FieldSurvey()
    for number, row in enumerate(rows):
        found.note(str(number), row)
    text = pa.array([""] * len(rows), pa.large_string())
    table = payload_table(text, text, map(metadata_json, rows), found.kinds())
    back = [metadata_of(row) for row in table.to_pylist()]
    assert back == [{name: value for name, value in row.items() if value is not None} for row in rows]


def rows(start: int, *years: Any) -> list[dict[str, Any]]:
    return [{"id": f"{start + i}", "text": "moon sea", "year": y} for i, y in enumerate(years)]


def found(engine: SearchEngine, where: str) -> set[str]:
    return {hit.id for hit in engine.search("moon", k=50, where=where)}


def test_one_odd_value_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a build, in additions and after they are merged."""
    with caplog.at_level(logging.WARNING):
        engine = SearchEngine.build(tmp_path / "ix", rows(0, 1998, "unknown", 2004, None), FakeEncoder())
        assert found(engine, "year >= 2000") == {"2"}
        assert [r.message for r in caplog.records if "year" in r.message] == [
            "field 'year': 1 of 3 values are not whole numbers (\"unknown\" in document '1'); they are kept, "
            "but count as missing in filters"
        ]
        engine.add(rows(10, "n.d.", 2011, LARGE, float("nan"), 2**80, ["2012"]))
    assert found(engine, "year >= 2000") == {"2", "11", "12"}
    assert found(engine, f"year = {LARGE}") == {"12"}
    assert found(engine, f"year = {LARGE - 1}") == set(), "beyond 2^53 whole numbers stay exact"
    engine.compact()
    assert found(engine, "year >= 2000") == {"2", "11", "12"}
    assert {hit.id: hit.metadata.get("year") for hit in engine.search("moon", k=50)} == {
        "0": 1998,
        "1": "unknown",
        "2": 2004,
        "3": None,
        "10": "n.d.",
        "11": 2011,
        "12": LARGE,
        "13": None,
        "14": 2**80,
        "15": ["2012"],
    }


def test_types_are_compared_with_the_index_before_anything_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SearchEngine.build(tmp_path / "ix", rows(0, 1998, LARGE), FakeEncoder())

    def encoding(*_: object, **__: object) -> None:
        raise AssertionError("encoded although the index takes none of it")

    monkeypatch.setattr(FakeEncoder, "encode_documents", encoding)
    with pytest.raises(DatasetError, match="document '5': field 'year' is \"2011\", but in the index"):
        engine.add(rows(5, "2011"))
    with pytest.raises(DatasetError, match=r"document '5': field 'year' is 2\.5, but .* beyond 2\^53"):
        engine.add(rows(5, 2.5))
    assert not (tmp_path / "ix.encoding").exists()


def test_values_within_objects_are_found_by_what_they_hold(tmp_path: Path) -> None:
    """A name beyond ASCII was never found; one large number or half a surrogate failed the filter."""

    def built(*values: dict[str, Any]) -> SearchEngine:
        documents = [{"id": f"{i}", "text": "moon", **value} for i, value in enumerate(values)]
        return SearchEngine.build(tmp_path / "ix", documents, FakeEncoder(), overwrite=True)

    assert found(built({"größe": {"breite": 3}}, {"größe": {"breite": 4}}), "größe.breite = 3") == {"0"}
    engine = built({'a"b': {"c": 3}}, {"a\\b": {"c": 3}}, {"a": {"c": 3}})
    for number, name in enumerate(('a"b.c', "a\\b.c", "a.c")):
        assert {hit.id for hit in engine.search("moon", where={name: 3})} == {f"{number}"}
    engine = built({"a": {"n": LARGE}}, {"a": {"n": 1.5}}, {"a": {"n": 3}}, {"a": {"n": 2**70}})
    assert found(engine, "a.n > 1") == {"1", "2"}
    assert found(engine, "a.n is null") == {"0", "3"}, "as in a column of numbers with a fraction"
    engine = built({"a": {"n": LARGE}}, {"a": {"n": LARGE - 1}})
    assert found(engine, f"a.n = {LARGE}") == {"0"}
    engine = built({"a": {"n": "x \ud800"}}, {"a": {"n": "y"}}, {"a": {"n": ["y", "\ud800"]}})
    assert found(engine, "a.n = 'y'") == {"1"}


@pytest.mark.parametrize(
    "value",
    ["x\ud800", ["y", "x\ud800"], {"g": "x\ud800"}, {"g": ["x\ud800"]}, [{"g": {"h": "x\ud800"}}]],
)
def test_half_a_surrogate_pair_is_kept_in_a_value_at_any_depth(tmp_path: Path, value: Any) -> None:
    """In a name it is refused at any depth, see test_formats and test_reading."""
    documents = [{"id": "0", "text": "moon", "f": value}, {"id": "1", "text": "moon", "f": "y"}]
    engine = SearchEngine.build(tmp_path / "ix", documents, FakeEncoder())
    engine.add([{"id": "2", "text": "moon", "metadata": {"f": value}}])
    kept = {hit.id: hit.metadata["f"] for hit in engine.search("moon")}
    assert kept == {"0": value, "1": "y", "2": value}


def test_a_name_with_dots_beside_a_path_into_an_object(tmp_path: Path) -> None:
    """A field `by.name` hid what `{"by": {"name": ...}}` holds, also in other documents."""
    documents: list[dict[str, Any]] = [
        {"id": "0", "text": "moon", "by.name": "Bob"},
        {"id": "1", "text": "moon", "by": {"name": "Ada"}},
        {"id": "2", "text": "moon", "by": {"name": 7}},
        {"id": "3", "text": "moon", "by.name": "Cy", "by": {"name": "Ada"}},
        {"id": "4", "text": "moon", "at": {"x.y": {"z": 3}}},
        {"id": "5", "text": "moon", "at": {"x": {"y": {"z": 4}}}},
        {"id": "6", "text": "moon", "at.x": {"y.z": 5}},
    ]
    engine = SearchEngine.build(tmp_path / "ix", documents[:3], FakeEncoder())
    engine.add(documents[3:])
    for _ in range(2):
        assert found(engine, "by.name = 'Ada'") == {"1"}
        assert found(engine, "by.name in ['Bob', 'Cy']") == {"0", "3"}
        assert found(engine, "by.name is null") == {"2", "4", "5", "6"}
        assert found(engine, "at.x.y.z >= 3") == {"4", "5", "6"}
        facets = engine.search("moon", facets=["by.name"]).facets["by.name"]
        assert facets == [("Ada", 1), ("Bob", 1), ("Cy", 1)]
        engine.compact()


def test_a_path_is_of_one_kind_over_all_shards(tmp_path: Path) -> None:
    """Each shard had its own, so that no value could be asked for, and sorting ended in a TypeError."""
    parts: list[list[Any]] = [[1, 2, 4], ["x", "y", 2], [1.5], []]
    for number, values in enumerate(parts):
        documents = [
            {"id": f"{number}{i}", "text": "moon", "a": {"n": value}}
            for i, value in enumerate([*values, None])
        ]
        SearchEngine.build(tmp_path / f"{number}", documents, FakeEncoder())
    engine = SearchEngine.open([tmp_path / f"{number}" for number in range(4)], FakeEncoder())
    assert found(engine, "a.n = 2") == {"01", "12"}
    assert found(engine, "a.n < 2") == {"00", "20"}
    assert [hit.id for hit in engine.search("moon", k=6, sort="a.n")][:5] == ["00", "20", "01", "12", "02"]
    assert engine.search("moon", facets=["a.n"]).facets["a.n"][0] == (2, 2)
    with pytest.raises(InvalidInputError, match=r"column 'a\.n' is of type double, compared with 'x'"):
        found(engine, "a.n = 'x'")


@pytest.mark.parametrize("value", ["rev-3", 7, {"rev": 1}])
def test_a_field_of_the_name_of_ours_is_not_hidden(value: Any, tmp_path: Path) -> None:
    """Couchbase calls its own `_sync`: hits and `get` left it out."""
    records = [{"id": "a", "text": "moon", "_sync": value}, {"id": "b", "text": "moon"}]
    engine = SearchEngine.build(tmp_path / "ix", records, FakeEncoder())
    engine.add([{"id": "c", "text": "moon", "_sync": value}])
    assert [document.metadata for document in engine.get(["a", "b", "c"])] == [
        {"_sync": value},
        {},
        {"_sync": value},
    ]
