"""Corpora under other names and in other formats; what is no corpus; bounds."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import threading
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splade_engine.collections import Document, read_documents
from splade_engine.collections.columns import ColumnTypes
from splade_engine.collections.corpus import Corpus
from splade_engine.collections.formats import holds_texts
from splade_engine.collections.standard_input import StandardInput
from splade_engine.errors import DatasetError, InvalidInputError

EXPECTED = [Document("d1", "green tea", "Tea"), Document("d2", "a coffee, black", "")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def refusal(source: object, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        list(Corpus(source, **options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.tsv", "docid\ttitle\tcontents\nd1\tTea\tgreen tea\nd2\t\ta coffee, black\n"),
        ("c.tsv", "TITLE\tPassage\tPID\nTea\tgreen tea\td1\n\ta coffee, black\td2\n"),
        ("c.csv", '_id,title,text\nd1,Tea,green tea\nd2,,"a coffee, black"\n'),
        ("c.csv", 'contents,docno,title\r\ngreen tea,d1,Tea\r\n"a coffee, black",d2,\r\n'),
        (
            "c.jsonl",
            '{"id": "d1", "contents": "green tea", "title": "Tea"}\n'
            '{"docid": "d2", "body": "a coffee, black"}',
        ),
    ],
)
def test_other_names_are_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str
):
    with caplog.at_level(logging.WARNING):
        assert list(read_documents(write(tmp_path / name, text))) == EXPECTED
    said = [r.getMessage() for r in caplog.records]
    assert all("is read as the id" in line for line in said)
    assert bool(said) == ("_id,title,text" not in text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.tsv", "docid\tstory\nd1\tgreen tea\n", ":1: looks like a header, and names no column for a text"),
        ("c.tsv", "key\ttext\nd1\tgreen tea\n", ":1: looks like a header, and names no column for an id"),
        ("c.tsv", "id\ttext\ttext\n1\ta\tb\n", ":1: the header names a column twice"),
        ("c.tsv", "docid\tpid\ttext\n1\ta\tb\n", ":1: the field id is missing, and it could be docid or pid"),
        (
            "c.csv",
            "1,green tea\n",
            ' and text (text, contents, content, passage, body); it begins ["1", "green tea"]',
        ),
        (
            "c.csv",
            "Ticket Id;Description\n1;tea\n",
            ":1: a CSV file needs a header that names id (_id, id, docid, ",
        ),
        ("c.csv", "id,text\n1,a,b\n", ":2: 3 columns where 2 were expected"),
        ("c.csv", 'id,text\n1,"a\n', "not CSV (unexpected end of data)"),
        (
            "c.jsonl",
            '{"id": "1", "body": "a", "contents": "b"}',
            ":1: the field text is missing, and it could be",
        ),
        ("c.jsonl", '{"id": "1", "story": "a"}', ":1: the field text is missing"),
        ("c.jsonl", '{"id": "1", "body": null}', ":1: the field body is null"),
        ("c.jsonl", '{"id": null, "body": "a"}', ":1: the field id is null"),
        ("c.jsonl", '{"id": 1.5, "contents": "a"}', ":1: the field id must be a string, got 1.5"),
        ("c.jsonl", '{"id": true, "contents": "a"}', ":1: the field id must be a string, got true"),
        ("c.jsonl", '{"id": "\\ud800", "text": "a"}', ":1: the field id holds half a surrogate pair"),
        ("c.xlsx", "x", "the format .xlsx is not known; readable are JSONL, JSON, TSV, CSV, Parquet"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, name: str, text: str, message: str):
    assert message in refusal(write(tmp_path / name, text))


def test_a_tsv_document_of_one_word_is_no_header(tmp_path: Path):
    assert [d.id for d in read_documents(write(tmp_path / "c.tsv", "d1\ttext\nd2\tbody\n"))] == ["d1", "d2"]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_what_separates_the_cells_of_csv(tmp_path: Path, sign: str):
    text = "id,text,year\n1,one;two,1999\n".replace(",", sign).replace("one;two", '"one;two, three"')
    (only,) = read_documents(write(tmp_path / "c.csv", text))
    assert only == Document("1", "one;two, three", "", {"year": 1999})


def test_a_parquet_file_without_id_or_text(tmp_path: Path):
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"text": ["tea"], "year": [1999]}), path)
    assert holds_texts(path)
    assert refusal(path) == f"{path}: no column for an id (_id, id, docid); its columns are text, year"
    pq.write_table(pa.table({"id": ["1"], "year": [1999]}), path)
    assert "no column for a text" in refusal(path)
    pq.write_table(pa.table({"id": ["1"], "terms": [[1]], "weights": [[1.0]]}), path)
    assert not holds_texts(path)


def test_several_saved_datasets_in_one_folder(tmp_path: Path):
    write(tmp_path / "dataset_dict.json", '{"splits": ["train"]}')
    (tmp_path / "train").mkdir()
    write(tmp_path / "train/dataset_info.json", "{}")
    assert refusal(tmp_path) == f"{tmp_path}: holds several datasets; give one of {tmp_path / 'train'}"


def test_an_index_of_pandas_of_another_name_is_told_the_way_on():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"sku": ["a", "b"], "lot": [1, 2], "text": ["tea", "coffee"]})
    with pytest.raises(DatasetError, match=r"called id; its index is .sku.: table.reset_index\(names=.id"):
        list(Corpus(table.set_index("sku")))
    with pytest.raises(
        DatasetError, match=r"called id; its index is .sku, lot.: reset_index\(\) makes columns"
    ):
        list(Corpus(table.set_index(["sku", "lot"])))
    documents = list(Corpus(table.set_index("sku").reset_index(names="id")))
    assert [document.id for document in documents] == ["a", "b"]
    assert len(list(Corpus(table.rename(columns={"lot": "id"}).set_index("sku")))) == 2


@pytest.mark.parametrize("name", ["id", "docid", "text", "body"])
def test_a_null_id_or_text_of_a_table_is_called_so(name, tmp_path):
    other = {"text": ["a", "b"]} if name in ("id", "docid") else {"id": ["1", "2"]}
    table = pa.table({name: pa.array(["x", None]), **other, "year": [None, 1999]})
    pq.write_table(table, tmp_path / "t.parquet")
    for source, place in ((tmp_path / "t.parquet", "row 2"), (table, "document 1")):
        with pytest.raises(DatasetError, match=rf"{place}: the field {name} is null"):
            list(Corpus(source))
    # the other of two names is not null
    if name == "body":
        both = pa.table({"id": ["1", "2"], "body": ["x", None], "contents": [None, "y"]})
        assert [document.text for document in Corpus(both)] == ["x", "y"]


def test_an_index_of_pandas_that_is_called_id():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"id": ["a", "b"], "text": ["tea", "coffee"]}).set_index("id")
    assert [d.id for d in Corpus(table)] == ["a", "b"]
    with pytest.raises(DatasetError, match="the field _id"):
        list(Corpus(table.reset_index(drop=True)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"1\ttea\n", mtime=0), "compressed; unpack it before the pipe: zcat FILE"),
        (b"PAR1....", "Parquet is read from a file only"),
        (b"PK\x03\x04...", "an archive or office document is read from a file only"),
    ],
)
def test_what_is_no_text_in_standard_input(data: bytes, message: str):
    with pytest.raises(DatasetError, match=message):
        list(StandardInput(io.BytesIO(data)).numbered(ColumnTypes()))


def test_paragraphs_within_quotes_stay(tmp_path: Path):
    path = write(tmp_path / "c.csv", 'id,text,year\n1,"one\n\ntwo ""quoted""",1999\n\n2,b,\n')
    one, two = read_documents(path)
    assert one == Document("1", 'one\n\ntwo "quoted"', "", {"year": 1999})
    assert two.text == "b"


def test_parquet(tmp_path: Path):
    rows = {
        "_id": ["a", "b"],
        "title": [None, "B"],
        "text": ["tea", "coffee"],
        "year": [1999, None],
        "day": [date(2026, 1, 2), None],
        "tags": [["x", "y"], None],
    }
    pq.write_table(pa.table(rows), tmp_path / "c.parquet")
    one, two = read_documents(tmp_path / "c.parquet")
    assert one == Document("a", "tea", "", {"year": 1999, "day": "2026-01-02", "tags": ["x", "y"]})
    assert two == Document("b", "coffee", "B", {})


def test_ids_that_are_whole_numbers_become_text(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write(tmp_path / "c.jsonl", '{"id": 7, "text": "a"}\n{"_id": 8, "id": 8, "text": "b"}\n')
    corpus = Corpus(path)
    assert (
        [(d.id, d.metadata) for d in corpus] == [("7", {}), ("8", {})] == [(d.id, d.metadata) for d in corpus]
    )
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{path}: ids are whole numbers and are read as text, '7'"]
    assert [d.id for d in Corpus([{"id": np.int64(5), "text": "a"}])] == ["5"]
    twice = write(tmp_path / "d.jsonl", '{"id": 7, "text": "a"}\n{"id": "7", "text": "b"}\n')
    assert "duplicate id '7'" in refusal(twice)


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "a", "text": "x [,] y"}, {"id": "b", "text": "z", "n": [1, {"k": 2}]}]',
        '\n[\n {\n  "id": "a",\n  "text": "x [,] y"\n },\n\n {"id": "b", "text": "z", "n": [1, {"k": 2}]}\n]\n\n',  # noqa: E501
        '{"id": "a", "text": "x [,] y"}\n{"id": "b",\n "text": "z", "n": [1, {"k": 2}]}',
    ],
)
def test_json_arrays(tmp_path: Path, text: str):
    expected = [Document("a", "x [,] y"), Document("b", "z", "", {"n": [1, {"k": 2}]})]
    assert list(read_documents(write(tmp_path / "c.json", text))) == expected
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text.encode()))
    assert list(read_documents(tmp_path / "c.json.gz")) == expected


def test_a_long_json_array_over_many_lines(tmp_path: Path):
    rows = [{"id": i, "text": "line\n" * (i % 50) + "end", "list": list(range(i % 40))} for i in range(2000)]
    (tmp_path / "c.json").write_text(json.dumps(rows, indent=1))
    documents = list(read_documents(tmp_path / "c.json"))
    assert [d.text for d in documents] == [r["text"] for r in rows]
    assert [d.metadata["list"] for d in documents] == [r["list"] for r in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"id": "a", "text": "x"},\n {"id": "b", "text": }]', ":2: not JSON (expecting value)"),
        ('[{"id": "a", "text": "x"}\n {"id": "b"}]', ":2: not JSON (a comma or ] is expected)"),
        ('[{"id": "a", "text": "x"},\n', "not JSON (the file ends within the array)"),
        ('[{"id": "a", "text": "x"}]\n\nmore', ":3: not JSON (something follows the array)"),
        ('[{"id": "a", "text": "x"}, {"id": "b"}]', ": record 2: the field text is missing"),
        ('[{"id": "a", "text": "x"}, 7]', ": record 2: an object with id and text is needed, got 7"),
        ('{"name": "package", "version": 1}', ": record 1: the field _id (or id) is missing"),
        ("[]", "empty corpus, not one document"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('[{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]', ":2: duplicate id 'a', first on line 1"),
    ],
)
def test_json_that_cannot_be_read(tmp_path: Path, text: str, message: str):
    assert message in refusal(write(tmp_path / "c.json", text))


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files(tmp_path: Path, kind: str):
    table = pa.table(
        {"id": list(range(700)), "text": [f"text {i}" for i in range(700)], "day": [date(2026, 1, 2)] * 700}
    )
    made = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with made(tmp_path / "c.arrow", table.schema) as writer:
        writer.write_table(table)
    documents = list(read_documents(tmp_path / "c.arrow"))
    assert documents[699] == Document("699", "text 699", "", {"day": "2026-01-02"})
    assert len(documents) == 700 and holds_texts(tmp_path / "c.arrow")
    whole = (tmp_path / "c.arrow").read_bytes()
    (tmp_path / "c.arrow").write_bytes(whole[: len(whole) // 2])
    if kind == "file":
        assert "c.arrow: not readable as Arrow" in refusal(tmp_path / "c.arrow")


def test_a_dataset_saved_to_disk(tmp_path: Path):
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    for part, name in enumerate(names):
        table = pa.table({"id": [2 * part, 2 * part + 1], "text": ["sea", "moon"]})
        with pa.ipc.new_stream(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
    assert [(d.id, d.text) for d in Corpus(tmp_path)] == [
        ("0", "sea"),
        ("1", "moon"),
        ("2", "sea"),
        ("3", "moon"),
    ]
    assert not Corpus(tmp_path).is_cut and Corpus(tmp_path, passages=16).survey().n_docs == 4
    (tmp_path / names[1]).unlink()
    assert "data-00001-of-00002.arrow" in refusal(tmp_path)
    (tmp_path / "state.json").write_text("[]")
    assert "state.json: does not name the files of a saved dataset" in refusal(tmp_path)
    (tmp_path / "state.json").write_text('{"_data_files": [], "_data_files": []}')
    assert "state.json: '_data_files' occurs twice" in refusal(tmp_path)


def test_values_that_python_and_numpy_have_become_what_json_has():
    when = datetime(2026, 1, 2, 3, 4, 5)
    record = {
        "id": "a", "text": "x", "when": when, "day": when.date(), "price": Decimal("1.50"), "n": np.int32(7),
        "score": np.float32(0.5), "flag": np.bool_(True), "missing": np.float64("nan"), "tags": np.array(["p", "q"]),  # noqa: E501
        "stamp": np.datetime64("2026-01-02T03:04:05.123456789"), "never": np.datetime64("NaT"), "pair": (1, 2),  # noqa: E501
        "name": np.str_("n"), "key": UUID(int=1), "times": np.array(["2026-01-02", "NaT"], "datetime64[D]"),
    }  # fmt: skip
    (document,) = Corpus([record])
    assert document.metadata == {
        "when": "2026-01-02T03:04:05", "day": "2026-01-02", "price": "1.50", "n": 7, "score": 0.5, "flag": True,  # noqa: E501
        "tags": ["p", "q"], "stamp": "2026-01-02T03:04:05.123456789", "pair": [1, 2], "name": "n",
        "key": "00000000-0000-0000-0000-000000000001", "times": ["2026-01-02", None],
    }  # fmt: skip
    assert type(document.metadata["name"]) is str and type(document.metadata["score"]) is float
    assert "field 'x' holds an infinite number" in refusal([{"id": "a", "text": "x", "x": np.float32("inf")}])


def test_parquet_with_numbers_as_ids(tmp_path: Path):
    pq.write_table(pa.table({"docid": [7, 10**17 + 1], "contents": ["a", "b"]}), tmp_path / "c.parquet")
    assert [d.id for d in read_documents(tmp_path / "c.parquet")] == ["7", "100000000000000001"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"docid": [1.0], "text": ["a"]}, "row 1: the field docid must be a string, got 1.0"),
        ({"id": [True], "text": ["a"]}, "row 1: the field id must be a string, got true"),
        ({"id": ["1", "1"], "text": ["a", "b"]}, "duplicate id '1'"),
        ({"id": ["1"], "text": [""]}, "neither title nor text"),
        ({"key": ["1"], "text": ["a"]}, "no column for an id (_id, id, docid); its columns are key, text"),
    ],
)
def test_bad_parquet_rows(tmp_path: Path, columns: dict[str, list[object]], message: str):
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    assert message in refusal(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (("_id", "text"), True),
        (("docno", "body", "x"), True),
        (("id", "terms", "weights"), False),
        (("text",), True),  # is refused as one of texts, which says what is missing
        (("id", "weights"), False),
    ],
)
def test_a_parquet_file_of_texts_is_told_from_one_of_vectors(tmp_path: Path, columns, texts: bool):
    pq.write_table(pa.table({name: ["a"] for name in columns}), tmp_path / "c.parquet")
    assert holds_texts(tmp_path / "c.parquet") is texts


def test_times_beyond_microseconds_stay_whole(tmp_path: Path):
    """Pandas writes nanoseconds; Python has microseconds, and refused all of the file with a traceback."""
    whole, fine = 1_600_000_000_000_001_000, 1_600_000_000_000_000_001
    table = pa.table(
        {
            "id": ["a"],
            "text": ["x"],
            "utc": pa.array([whole], pa.timestamp("ns", tz="UTC")),
            "fine": pa.array([fine], pa.timestamp("ns")),
            "clock": pa.array([3_600_000_000_001], pa.time64("ns")),
            "noon": pa.array([43_200_000_000_000], pa.time64("ns")),
            "long": pa.array([1_500_000_000], pa.duration("ns")),
            "seconds": pa.array([90], pa.duration("s")),
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    (document,) = read_documents(tmp_path / "c.parquet")
    assert document.metadata == {
        "utc": "2020-09-13T12:26:40.000001+00:00",
        "fine": "2020-09-13 12:26:40.000000001",
        "clock": "01:00:00.000000001",
        "noon": "12:00:00",
        "long": 1.5,
        "seconds": 90.0,
    }


def test_two_columns_of_one_name_are_refused(tmp_path: Path):
    pq.write_table(pa.table([["a"], ["b"], ["c"]], names=["id", "text", "text"]), tmp_path / "c.parquet")
    assert refusal(tmp_path / "c.parquet").endswith("c.parquet: two columns are named 'text'")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("c.jsonl", '{"id": "a", "text": "x"}\n{"id": "b", "text": "x", "text": "y"}\n', "c.jsonl:2"),
        ("c.json", '[{"id": "a", "text": "x"},\n {"id": "b", "text": "x", "text": "y"}]', "c.json:2"),
        ("c.jsonl", '{"id": "a", "text": "x", "by": {"text": 1, "text": 2}}\n', "c.jsonl:1"),
    ],
)
def test_two_values_of_one_name_are_refused_too(tmp_path: Path, name: str, content: str, place: str):
    (tmp_path / name).write_text(content)
    assert refusal(tmp_path / name).endswith(f"{place}: 'text' occurs twice")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"x", "bytes"),
        ({"deep": [b"x"]}, "bytes"),
        ({1, 2}, "set"),
        (object(), "object"),
        ({1: 2}, "an object with a name that is no text"),
        ([{"note \ud83d": 1}], "an object with half a surrogate pair in a name"),
        (10**5000, "a number of thousands of digits"),
    ],
    ids=["bytes", "deep", "set", "object", "names", "half", "digits"],
)
def test_a_value_that_json_does_not_have_names_its_document_and_field(value: object, what: str):
    records = [{"id": "a", "text": "x"}, {"id": "b", "text": "x", "f": value}]
    told = f"document 1: the field 'f' holds {what}, which JSON does not have"
    assert refusal(records) == told
    assert refusal([Document("a", "x"), Document("b", "x", "", {"f": value})]) == told
    assert "name of a field must be a text" in refusal([{"id": "a", "text": "x", 5: 1}])


@pytest.mark.parametrize("header", ["name\tdescription", "document\tsummary", "Key\tTitle\tAnswer"])
def test_a_header_without_id_and_text_is_no_document(tmp_path: Path, header: str):
    (tmp_path / "c.tsv").write_text(f"{header}\nd1\tgreen tea\n")
    told = "c.tsv:1: looks like a header, and names no columns for id and text: "
    assert refusal(tmp_path / "c.tsv").endswith(told + ", ".join(header.lower().split("\t")))


def test_damaged_parquet_is_one_line(tmp_path: Path):
    pq.write_table(pa.table({"id": ["1"] * 1, "text": ["a"]}), tmp_path / "c.parquet")
    whole = (tmp_path / "c.parquet").read_bytes()
    for cut in (0, 4, len(whole) // 2, len(whole) - 3):
        (tmp_path / "c.parquet").write_bytes(whole[:cut])
        assert "not readable as Parquet" in refusal(tmp_path / "c.parquet")


# ---- standard input -------------------------------------------------------------------------------------


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize(
    "data",
    [
        b'\n{"_id": "d1", "text": "green tea", "title": "Tea"}\n{"_id": "d2", "text": "a coffee, black"}\n',
        b'\xef\xbb\xbf{"_id": "d1", "text": "green tea", "title": "Tea"}\n'
        b'{"_id": "d2", "text": "a coffee, black"}',
        b"d1\tTea\tgreen tea\nd2\t\ta coffee, black\n",
        b"id\ttitle\ttext\nd1\tTea\tgreen tea\nd2\t\ta coffee, black\n",
    ],
)
def test_standard_input_is_read_as_often_as_needed(monkeypatch: pytest.MonkeyPatch, data: bytes, name: str):
    monkeypatch.setattr("sys.stdin", Stdin(data))
    corpus = Corpus(name)
    assert corpus.survey().n_docs == 2
    assert list(corpus) == EXPECTED
    assert list(zip(corpus, corpus, strict=True)) == list(zip(EXPECTED, EXPECTED, strict=True))


def test_standard_input_names_its_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Stdin(b'{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n'))
    assert refusal("-") == "<standard input>:2: duplicate id '1', first on line 1"
    monkeypatch.setattr("sys.stdin", Stdin(b""))
    assert refusal(Path("-")) == "<standard input>: empty corpus, not one document"


def test_endless_input_is_not_copied_for_ever(monkeypatch: pytest.MonkeyPatch):
    class Endless(io.RawIOBase):
        def read(self, n: int = -1) -> bytes:
            return bytes(n)

    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "5000000")
    with pytest.raises(DatasetError, match=r"<standard input>: a line of more than 5,000,000 bytes"):
        list(StandardInput(Endless()).numbered(ColumnTypes()))  # type: ignore[arg-type]


# ---- what is no corpus ----------------------------------------------------------------------------------


class Frame:
    """What pandas' tables look like from outside: iterating gives the names of their columns."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of a comparison is ambiguous")

    columns = ("id", "text", "year")

    def __init__(self, rows: list[dict[str, object]] | None = None) -> None:
        self.rows = rows or []

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self):
        return iter(self.columns)

    @property
    def iloc(self) -> Frame:
        return self

    def __getitem__(self, rows: slice) -> Frame:
        return Frame(self.rows[rows])

    def to_dict(self, orient: str) -> list[dict[str, object]]:
        assert orient == "records"
        return self.rows


class HuggingFace:
    """What a `datasets.Dataset` looks like: columns have names, rows are mappings."""

    column_names = ("id", "text", "year")

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)

    def to_dict(self) -> dict[str, list[object]]:
        raise AssertionError("all rows at once")


class Series:
    """What a column of pandas looks like from outside."""

    dtype = "str"

    def __iter__(self):
        return iter(["tea"])

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return pa.chunked_array([["tea"]]).__arrow_c_stream__(schema)

    def to_dict(self) -> dict[int, str]:
        return {0: "tea"}


TABLE_ROWS = [{"id": i, "text": f"text {i}", "year": None if i == 3 else 1990 + i} for i in range(3000)]


@pytest.mark.parametrize(
    "made",
    [pa.Table.from_pylist, pa.RecordBatch.from_pylist, Frame, HuggingFace],
    ids=lambda made: made.__name__,
)
def test_tables_are_read_by_rows(made):
    documents = list(Corpus(made(TABLE_ROWS)))
    assert documents[:2] == [
        Document("0", "text 0", "", {"year": 1990}),
        Document("1", "text 1", "", {"year": 1991}),
    ]
    assert documents[3].metadata == {}
    assert len(documents) == 3000
    assert "row" not in refusal(made([{"text": "x"}])) and "_id (or id) is missing" in refusal(
        made([{"text": "x"}])
    )


def test_a_real_dataset_of_hugging_face(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_list(TABLE_ROWS)
    assert list(Corpus(made)) == list(Corpus(HuggingFace(TABLE_ROWS)))
    assert list(Corpus(made.to_iterable_dataset())) == list(Corpus(HuggingFace(TABLE_ROWS)))
    assert "several tables: give one of 'train'" in refusal(datasets.DatasetDict({"train": made}))
    made.select(range(5, 25)).save_to_disk(tmp_path / "saved")
    assert list(Corpus(tmp_path / "saved")) == list(Corpus(HuggingFace(TABLE_ROWS[5:25])))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"d1": "green tea"}, "the corpus is a mapping: give records"),
        ({"train": Frame(), "test": Frame()}, "the corpus is several tables: give one of 'train', 'test'"),
        ({"one", "two"}, "the corpus is a set"),
        (None, "the corpus is NoneType: give a path"),
        (b"tea", "the corpus is bytes: give texts, or a path"),
        (7, "the corpus is int: give a path"),
        (np.array("tea"), "the corpus is ndarray: give a path"),
        (io.StringIO("tea"), "the corpus is an open file, whose lines would be texts"),
        (io.BytesIO(b"tea"), "the corpus is an open file"),
        (pa.table([["a"], ["x"], ["y"]], names=["_id", "text", "text"]), "the corpus has two columns 'text'"),
        (Series(), "the corpus is one column of a table"),
        (pa.array(["tea"]), "the corpus is one column of a table"),
        (pa.chunked_array([["tea"]]), "the corpus is one column of a table"),
        ("", "the corpus is an empty path"),
        (Document("a", "b"), "the corpus is one document: give a list"),
        ([None], "document 0: an object with id and text is needed, got null"),
        ([7], "document 0: an object with id and text is needed, got 7"),
        ([["a", "b"]], "document 0: an object with id and text is needed"),
        ([b"tea"], "document 0: an object with id and text is needed"),
        (["a\ud800"], "document 0: its text holds half a surrogate pair"),
        ([Document("\ud800", "b")], "document 0: its id holds half a surrogate pair"),
        (
            [Document("7", "b", "", {"\ud83d": 1})],
            "document 0: the field name '\\ud83d' holds half a surrogate",
        ),
        ([Document(7, "b")], "document 0: its id must be a text, got 7"),  # type: ignore[arg-type]
        ([Document("7", None)], "document 0: its text must be a text, got null"),  # type: ignore[arg-type]
        ([Document("", "b")], 'document 0: its id must be a text, got ""'),
    ],
)
def test_other_containers_are_refused(source: object, message: str):
    assert message in refusal(source)


def test_what_the_messages_advise_works():
    corpus = {"d1": "green tea"}
    assert list(Corpus([{"_id": i, "text": t} for i, t in corpus.items()])) == [Document("d1", "green tea")]


# ---- pipes, devices, sizes ------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "c.jsonl.gz", "c.parquet", "c.txt", "c.unknown"])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(refusal(tmp_path / name)), daemon=True)
    reader.start()
    reader.join(10)
    assert found and "a named pipe, not a file" in found[0] and "give -" in found[0]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(tmp_path: Path, name: str):
    assert "a device, not a file" in refusal(name)
    (tmp_path / "corpus.jsonl").symlink_to(name)
    assert "a device, not a file" in refusal(tmp_path / "corpus.jsonl")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_notes_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    os.mkfifo(tmp_path / "a.md")
    (tmp_path / "b.md").symlink_to("nowhere")
    write(tmp_path / "c.md", "some text")
    assert [d.id for d in read_documents(tmp_path)] == ["c.md"]
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "left out: a.md: a named pipe, not a file" in said
    assert "left out: b.md: cannot be read (No such file or directory)" in said


def test_a_bomb_of_empty_lines_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b"\n" * 3_000_000))
    assert ":1000001: 1,000,001 blank lines in a row (SPLADE_ENGINE_MAX_BLANK_LINES sets another bound)" in (
        refusal(tmp_path / "c.jsonl.gz")
    )
    monkeypatch.setenv("SPLADE_ENGINE_MAX_BLANK_LINES", "4000000")
    assert "empty corpus" in refusal(tmp_path / "c.jsonl.gz")


def test_a_document_that_is_too_large_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [json.dumps({"_id": "1", "text": "a"}), json.dumps({"_id": "2", "text": "b " * 6_000_000})]
    path = write(tmp_path / "c.jsonl", "\n".join(lines))
    assert refusal(path) == (
        f"{path}:2: a line of more than 10,000,000 bytes "
        "(SPLADE_ENGINE_MAX_DOCUMENT_BYTES sets another bound)"
    )
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "20000000")
    assert len(list(Corpus(path))) == 2


def test_a_text_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "1000")
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "100")
    path = write(tmp_path / "a.txt", "word " * 300)
    assert "1,500 bytes, more than 1,000 (SPLADE_ENGINE_MAX_FILE_BYTES sets another bound)" in refusal(path)
    assert "a passage of more than 100 characters" in refusal(write(tmp_path / "b.txt", "x" * 200))


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e6", "9" * 30])
def test_a_bound_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", value)
    with pytest.raises(InvalidInputError, match="SPLADE_ENGINE_MAX_DOCUMENT_BYTES must be a whole number"):
        list(Corpus(write(tmp_path / "c.jsonl", '{"_id": "1", "text": "a"}')))


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_file_names_that_are_not_utf8(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")).write_text("green tea")
    (document,) = read_documents(tmp_path)
    assert (document.id, document.title, document.metadata["path"]) == (
        "caf\\xe9.md",
        "caf\\xe9",
        "caf\\xe9.md",
    )


def test_a_document_in_memory_has_the_bounds_of_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLADE_ENGINE_MAX_DOCUMENT_BYTES", "100")
    monkeypatch.setenv("SPLADE_ENGINE_MAX_FILE_BYTES", "1000")
    small, large = Document("a", "tea"), Document("b", "tea " * 30)
    titled, fielded = Document("c", "tea", "x" * 100), {"_id": "d", "text": "tea", "note": "x" * 100}
    for corpus in ([small, large], [small, titled], [small, fielded]):
        with pytest.raises(DatasetError) as error:
            Corpus(corpus).survey()
        assert str(error.value) == (
            "document 1: a text of more than 100 characters "
            "(SPLADE_ENGINE_MAX_DOCUMENT_BYTES sets another bound)"
        )
    assert Corpus([small, large], passages=16).survey().n_docs > 2  # is cut, as a text file is
    with pytest.raises(DatasetError, match=r"document 0: .* more than 1,000 characters .*MAX_FILE_BYTES"):
        Corpus([Document("b", "tea " * 300)], passages=16).survey()


@pytest.mark.parametrize("name", ["c.csv", "-"])
@pytest.mark.parametrize(
    ("before", "sign"), [("sep=;\n", ";"), ('"sep=,"\r\n\n', ","), ("SEP=|\n", "|"), ("sep=\t\n", "\t")]
)
def test_a_line_says_what_stands_between_columns(tmp_path: Path, name: str, before: str, sign: str):
    content = before + f'_id{sign}text{sign}"year"\nd1{sign}"green{sign} tea, 1,5"{sign}1990\n'
    if name == "-":
        piped = StandardInput(io.BytesIO(content.encode()))
        documents = [document for _, document in piped.numbered(ColumnTypes({"year": "int"}))]
    else:
        documents = list(Corpus(write(tmp_path / name, content)))
    assert documents == [Document("d1", f"green{sign} tea, 1,5", "", {"year": 1990})]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", "id,text\rd1,tea\r"),
        ("c.jsonl", '{"_id": "1", "text": "tea"}\r{"_id": "2", "text": "salt"}'),
        ("c.tsv", "1\ttea\r2\tsalt\r"),
    ],
)
def test_lines_that_end_in_cr_alone(tmp_path: Path, name: str, content: str):
    path = write(tmp_path / name, content)
    assert refusal(path) == f"{path}: lines end in CR alone, save it with LF"


def test_one_line_that_ends_in_cr_alone(tmp_path: Path):
    path = write(tmp_path / "c.csv", "id,text\nd1,tea\rd2,salt\n")
    assert refusal(path) == f"{path}:2: not CSV (a line ends in CR alone, save it with LF)"
