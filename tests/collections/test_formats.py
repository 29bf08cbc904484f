"""Corpora under other names and in other formats."""

from __future__ import annotations

import gzip
import io
import json
import logging
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
from tests.collections.corpora import EXPECTED, refusal, write


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
        (
            "c.jsonl",
            '{"id": "1", "text": "a", "year": 1999, "metadata": {"year": 2001}}',
            ':1: the field "year" is 1999, and 2001 in metadata; keep one of them',
        ),
        ("c.tsv", '"id"\t"text"\n"1"\t"a"\n', ":1: the header is quoted, and TSV has no quotes; rename it"),
        ("c.xlsx", "x", "the format .xlsx is not known; readable are JSONL, JSON, TSV, CSV, Parquet"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, name: str, text: str, message: str):
    assert message in refusal(write(tmp_path / name, text))


def test_a_field_that_stands_in_metadata_too(tmp_path: Path):
    same = '{"id": "1", "text": "a", "year": 1999, "lang": null, "metadata": {"year": 1999, "lang": "en"}}\n'
    (document,) = read_documents(write(tmp_path / "c.jsonl", same))
    assert document.metadata == {"year": 1999, "lang": "en"}


@pytest.mark.parametrize("again", ["", " ", "TITLE"])
@pytest.mark.parametrize("name", ["c.tsv", "c.csv", "-"])
def test_a_header_that_stands_again_is_no_document(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, again: str
):
    sign = "\t" if name == "c.tsv" else ","
    lines = [["id", "title", "text", "year"], ["d1", "Tea", "green tea", "2001"]]
    lines += [["id", again or "title", "text", "year"], ["d2", "", "coffee", "2002"], lines[0]]
    if again == " ":
        lines[2] = [f"{cell} " for cell in lines[0]]
    text = "".join(sign.join(line) + "\n" for line in lines)
    with caplog.at_level(logging.WARNING):
        if name == "-":
            found = [d for _, d in StandardInput(io.BytesIO(text.encode())).numbered(ColumnTypes())]
        else:
            found = list(read_documents(write(tmp_path / name, text)))
    assert found == [
        Document("d1", "green tea", "Tea", {"year": 2001}),
        Document("d2", "coffee", "", {"year": 2002}),
    ]
    told = [r.getMessage() for r in caplog.records if "stands here again" in r.getMessage()]
    assert len(told) <= 1  # once for a file
    if name != "-":
        assert told[0].startswith(f"{tmp_path / name}:3: the header stands here again")


@pytest.mark.parametrize("other", ["text\tid\tyear", "id\ttext\tauthor", "id\ttext\t", "year\tid\ttext"])
def test_another_header_below_is_refused(tmp_path: Path, other: str):
    text = f"id\ttext\tyear\nd1\tgreen tea\t2001\n{other}\nd2\tcoffee\t2002\n"
    told = f":3: another header than the first ({', '.join(other.split(chr(9)))}, not id, text, year)"
    assert told in refusal(write(tmp_path / "c.tsv", text))
    assert told in refusal(write(tmp_path / "c.csv", text.replace("\t", ",")))


def test_documents_that_speak_of_columns_are_no_headers(tmp_path: Path):
    text = "id,text,kind\ntext,what is found,id\nid,its name,text\n"
    assert [d.id for d in read_documents(write(tmp_path / "c.csv", text))] == ["text", "id"]


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
        "fine": "2020-09-13T12:26:40.000000001",  # with a space it stood before all others of its day
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


@pytest.mark.parametrize(
    "header", ["name\tdescription", "document\tsummary", "Key\tTitle\tAnswer", "qid\tquery"]
)
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
