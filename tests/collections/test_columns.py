"""Types of the columns of CSV and TSV files: found where there is no doubt, given, or those of the index."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from splade_engine import SearchEngine
from splade_engine.collections import read_documents
from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.queries import query_texts
from splade_engine.collections.reading import Cutting
from splade_engine.collections.standard_input import StandardInput
from splade_engine.errors import DatasetError, InvalidInputError
from tests.fake_encoder import FakeEncoder

TICKETS = (
    "id,text,year,price,open,day,zip\n"
    "1,the moon and the sea,1998,12.50,true,2024-03-01,007\n"
    "2,bread needs yeast,2015,3.00,False,2024-02-29,10115\n"
    "3,wind and wave at sea,,,,,\n"
)
VALUES = [
    {"year": 1998, "price": 12.5, "open": True, "day": "2024-03-01", "zip": "007"},
    {"year": 2015, "price": 3.0, "open": False, "day": "2024-02-29", "zip": "10115"},
    {},
]


def column(cells: list[str], types: dict[str, str] | None = None) -> list[Any]:
    """What the cells of a column become."""
    lines = ["id\ttext\tvalue", *(f"{i}\ta\t{cell}" for i, cell in enumerate(cells))]
    source = StandardInput(io.BytesIO("\n".join(lines).encode()))
    rows = source.numbered(ColumnTypes(types))
    return [document.metadata.get("value") for _, document in rows]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["1", "", " 2 "], [1, None, 2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["12.50", "3.00", "0.99"], [12.5, 3.0, 0.99]),
        (["1.0", "2.25", "1e-05"], [1.0, 2.25, 1e-05]),  # as Python and pandas write them
        (["true", "FALSE", "True"], [True, False, True]),
        (["2024-03-01", "2024-02-29"], ["2024-03-01", "2024-02-29"]),
        (
            ["2024-03-01", "2024-03-01 12:30:05", "2024-03-01T12:00Z"],
            ["2024-03-01", "2024-03-01T12:30:05", "2024-03-01T12:00Z"],
        ),
        (["9223372036854775807"], [2**63 - 1]),
        # text, as it is written
        (["1", "007"], ["1", "007"]),
        (["+49", "50"], ["+49", "50"]),
        (["1", "unknown"], ["1", "unknown"]),
        (["unknown", " 1"], ["unknown", " 1"]),
        (["1", "true"], ["1", "true"]),
        (["true", "yes"], ["true", "yes"]),
        (["1.9", "1.10"], ["1.9", "1.10"]),  # versions
        (["2", "1.10"], ["2", "1.10"]),
        (["1e5", "3"], ["1e5", "3"]),
        (["1,5", "2,5"], ["1,5", "2,5"]),
        (["1_000"], ["1_000"]),
        (["٣"], ["٣"]),
        (["nan", "1.5"], ["nan", "1.5"]),
        (["-0"], ["-0"]),
        (["1e+400"], ["1e+400"]),
        (["2024-02-30"], ["2024-02-30"]),
        (["2024"], [2024]),
        (["20240301", "2024-03-01"], ["20240301", "2024-03-01"]),
        (["01.03.2024"], ["01.03.2024"]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
        (["0.1234567890123456789"], ["0.1234567890123456789"]),
        ([""], [None]),
    ],
)
def test_a_column_has_a_type_only_where_there_is_no_doubt(cells: list[str], values: list[Any]) -> None:
    found = column(cells)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        ("int", ["007", "+5", "-3"], [7, 5, -3]),
        ("float", ["1.10", "1e5", ".5", "7"], [1.1, 1e5, 0.5, 7.0]),
        ("bool", ["yes", "No", "1", "0", "TRUE"], [True, False, True, False, True]),
        ("date", ["2024-03-01 10:00"], ["2024-03-01T10:00"]),
        ("text", ["1", " 2", ""], ["1", " 2", None]),
    ],
)
def test_a_type_can_be_given(kind: str, cells: list[str], values: list[Any]) -> None:
    found = column(cells, {"Value": kind})
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_files_have_types(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / f"tickets.{suffix}"
    path.write_text(TICKETS if suffix == "csv" else TICKETS.replace(",", "\t"))
    corpus = Corpus(path)
    assert [dict(document.metadata) for document in corpus] == VALUES
    assert [document.id for document in corpus] == ["1", "2", "3"]  # numbers, and text all the same
    with caplog.at_level(logging.INFO):
        SearchEngine.build(tmp_path / "ix", corpus, FakeEncoder())
    assert "year int, price float, open bool, day date, zip text" in caplog.text
    assert caplog.text.count("types of columns") == 1
    assert [dict(document.metadata) for document in read_documents(path)] == VALUES


def test_why_a_column_is_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("id\ttext\tyear\tversion\n1\ta\t1999\t1.9\n2\tb\tsoon\t1.10\n")
    corpus = Corpus(path)
    assert corpus.column_types == ""
    corpus.survey()
    assert 'year text ("soon" in line 3), version text (1.10 may be a version)' in corpus.column_types


def test_ids_titles_and_texts_are_text(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("_id,title,text,doc_id,parent\n1,1984,42,5,6\n")
    (document,) = Corpus(path)
    assert (document.id, document.title, document.text) == ("1", "1984", "42")
    assert document.metadata == {"doc_id": "5", "parent": "6"}


def test_queries_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("id\ttext\tyear\n1\t42\t1999\n")
    assert query_texts(tmp_path / "q.tsv") == {"1": "42"}
    (document,) = read_documents(tmp_path / "q.tsv", cutting=Cutting(columns=ColumnTypes(find=False)))
    assert document.metadata == {"year": "1999"}


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"year": "int"}, r"c\.csv:3: the column 'year' holds \"soon\", no whole number of at most 64 bits"),
        ({"year": "bool"}, r"c\.csv:2: the column 'year' holds \"1999\", neither true nor false"),
        ({"yaer": "int"}, r"c\.csv:2: a type is given for 'yaer'; the columns are id, text, year"),
        ({"id": "int"}, r"c\.csv:2: the column 'id' is text, and no type can be given for it"),
        ({"text": "date"}, r"c\.csv:2: the column 'text' is text"),
    ],
)
def test_types_that_do_not_fit_are_refused(tmp_path: Path, types: dict[str, str], message: str) -> None:
    (tmp_path / "c.csv").write_text("id,text,year\n1,a,1999\n2,b,soon\n")
    with pytest.raises(DatasetError, match=message):
        list(Corpus(tmp_path / "c.csv", types=types))


@pytest.mark.parametrize("types", [{"year": "number"}, {"year": 5}, {5: "int"}, ["year"], "year=int"])
def test_types_that_there_are_not_are_refused(types: Any) -> None:
    with pytest.raises(InvalidInputError, match="types: "):
        Corpus("c.csv", types=types)


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.md", "folder", "memory"])
def test_only_cells_take_types(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "1", "text": "a", "year": 1999}\n')
    (tmp_path / "c.json").write_text('[{"id": "1", "text": "a", "year": 1999}]')
    (tmp_path / "c.md").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.md").write_text("text")
    with pytest.raises(DatasetError, match="a type is given for 'year'; only the columns of CSV and TSV"):
        list(Corpus(["a"] if name == "memory" else tmp_path / name, types={"year": "int"}))


def test_filters_compare_numbers_dates_and_truth(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS)
    engine = SearchEngine.build(tmp_path / "ix", tmp_path / "tickets.csv", FakeEncoder())
    columns = engine.index.info().columns
    assert {name: columns[name] for name in VALUES[0]} == {
        "year": "int", "price": "float", "open": "bool", "day": "text", "zip": "text",
    }  # fmt: skip

    def found(where: str) -> set[str]:
        return {hit.id for hit in engine.search("moon sea bread wind", k=9, where=where)}

    assert found("year >= 2000") == {"2"}
    assert found("price between 3 and 12.5") == {"1", "2"}
    assert found("open = true") == {"1"}
    assert found("day < '2024-03-01'") == {"2"}
    assert found("zip = '007'") == {"1"}
    assert found("year is null and zip is null") == {"3"}


def test_the_types_of_the_index_hold_for_what_is_added(tmp_path: Path) -> None:
    record = {"id": "1", "text": "moon", "zip": "007", "year": 1999, "score": 0.5, "day": "2024-01-01"}
    engine = SearchEngine.build(tmp_path / "ix", [{**record, "tags": ["a"]}], FakeEncoder())
    file = tmp_path / "more.csv"
    file.write_text("id,text,zip,year,score,day\n2,sea,10115,2001,3,2024-05-01 10:00\n")
    corpus = Corpus(file)
    assert corpus.survey().fields["zip"] == "int"  # alone it is one
    engine.add(corpus)
    assert dict(engine.get(["2"])[0].metadata) == {
        "zip": "10115", "year": 2001, "score": 3.0, "day": "2024-05-01T10:00",
    }  # fmt: skip
    assert [hit.id for hit in engine.search("sea", where="zip = '10115' and score > 2")] == ["2"]

    file.write_text("id,text,year\n4,sea,2001\n5,wind,soon\n")
    with pytest.raises(DatasetError, match=r'more.csv:3: the column .year. holds "soon", .*in the index'):
        engine.add(file)
    file.write_text("id,text,year\n4,sea,2001\n5,wind,02002\n")  # a whole number, and no year
    with pytest.raises(DatasetError, match=r'more.csv:3: the column .year. holds "02002"'):
        engine.update(file)
    file.write_text("id,text,tags\n4,sea,a\n")
    with pytest.raises(DatasetError, match=r"more.csv:2: the column .tags. .*no list of texts"):
        engine.add(file)
    assert len(engine) == 2
    file.write_text("id,text,year\n4,sea,02002\n")
    engine.add(Corpus(file, types={"year": "int"}))
    assert dict(engine.get(["4"])[0].metadata) == {"year": 2002}
