"""Corpora in memory: tables are read by rows, and what is no sequence of documents is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from splade_engine.collections import Document
from splade_engine.collections.corpus import Corpus
from splade_engine.errors import DatasetError
from tests.collections.corpora import refusal


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


def test_what_is_missing_in_a_table_of_pandas():
    """As strings it has NaN there, which is no title; of a text it is called null."""
    pd = pytest.importorskip("pandas")
    missing = [None, float("nan"), pd.NA, pd.NaT]
    for value in missing:
        table = pd.DataFrame({"id": ["1", "2"], "title": pd.Series(["t", value], dtype=object), "text": "x"})
        assert [document.title for document in Corpus(table)] == ["t", ""]
        assert "the field text is null" in refusal(table.rename(columns={"title": "text", "text": "year"}))


def test_a_relation_of_duckdb_is_a_table():
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.connect(":memory:").sql("select 'a' as id, 'tea' as text, 1999 as year")
    assert list(Corpus(relation)) == [Document("a", "tea", "", {"year": 1999})]
    corpus = Corpus(duckdb.connect(":memory:").sql("select uuid() as id, 'tea' as text"))
    assert list(corpus) == list(corpus)  # was asked twice, with other answers


def test_an_index_of_pandas_that_is_called_id():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"id": ["a", "b"], "text": ["tea", "coffee"]}).set_index("id")
    assert [d.id for d in Corpus(table)] == ["a", "b"]
    with pytest.raises(DatasetError, match="the field _id"):
        list(Corpus(table.reset_index(drop=True)))


class Frame:
    """What pandas' tables look like from outside: iterating gives the names of their columns."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of a comparison is ambiguous")

    columns = ("id", "text", "year")

    def __init__(self, rows: list[dict[str, object]] | None = None) -> None:
        self.rows = rows or []
        self.dtypes: dict[str, object] = {}

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


def test_a_reader_of_batches_is_read_once_and_kept():
    table = pa.table({"id": ["a", "b"], "text": ["tea", "coffee"]})
    corpus = Corpus(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
    assert [[document.id for document in corpus] for _ in range(2)] == [["a", "b"]] * 2


class Formatted(HuggingFace):
    """A dataset of Hugging Face that gives tables or tensors in place of rows, until it is asked for rows."""

    def __init__(self, rows: list[dict[str, object]], form: str = "arrow") -> None:
        super().__init__(rows)
        self.format = {"type": form, "columns": list(rows[0])}

    def __iter__(self):
        return iter(self.rows if self.format["type"] == "custom" else [pa.table({"id": ["a"]})])

    def with_format(self, kind: None, columns: list[str]) -> HuggingFace:
        assert kind is None
        return HuggingFace([{name: row[name] for name in columns} for row in self.rows])


@pytest.mark.parametrize("form", ["arrow", "torch", "custom"])
def test_a_dataset_of_another_format_is_read_by_rows(form: str):
    rows: list[dict[str, object]] = [{"id": "a", "text": "tea", "year": 1990}]
    assert list(Corpus(Formatted(rows, form))) == [Document("a", "tea", "", {"year": 1990})]


@pytest.mark.parametrize("form", [None, "arrow", "pandas", "numpy", "torch", "polars"])
def test_real_datasets_of_every_format(form: str | None):
    datasets = pytest.importorskip("datasets")
    rows = {"id": ["a", "b"], "text": ["tea", "coffee"], "years": [[1990], []]}
    dataset = datasets.Dataset.from_dict(rows)
    kept = [Document("a", "tea", "", {"years": [1990]}), Document("b", "coffee", "", {"years": []})]
    assert list(Corpus(dataset.with_format(form))) == kept
    assert list(Corpus(dataset.to_iterable_dataset().with_format(form))) == kept
    without = Corpus(dataset.with_format(form, columns=["id", "text"]))
    assert list(without) == [Document("a", "tea"), Document("b", "coffee")]


@pytest.mark.filterwarnings("error")
def test_a_plan_of_polars_is_told_the_way_on():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"id": ["a"], "text": ["tea"]})
    assert "rows have yet to be computed: give table.collect()" in refusal(table.lazy())
    assert list(Corpus(table.lazy().collect())) == [Document("a", "tea")]


def of_arrow(values: list[object], kind: pa.DataType) -> list[object]:
    """What the corpus holds of a column that pandas keeps as Arrow's, among others."""
    pd = pytest.importorskip("pandas")
    ids = [f"{n}" for n in range(len(values))]
    column = pd.Series(pa.array(values, kind), dtype=pd.ArrowDtype(kind))
    table = pd.DataFrame({"id": ids, "own": column, "text": ["tea"] * len(values), "last": ids})
    documents = list(Corpus(table))
    assert [list(d.metadata) for d in documents if len(d.metadata) == 2] == [["own", "last"]] * 2
    assert list(Corpus(table.convert_dtypes(dtype_backend="pyarrow"))) == documents
    return [document.metadata.get("own") for document in documents]


def test_columns_of_arrow_in_a_table_of_pandas():
    """A map was a list of pairs, a time lost its nanoseconds, and a date behind 9999 was a traceback."""
    kind = pa.map_(pa.string(), pa.int64())
    assert of_arrow([[("a", 1), ("b", 2)], None, [("c", 3)]], kind) == [{"a": 1, "b": 2}, None, {"c": 3}]
    assert of_arrow([[[("a", 1)]], [], None], pa.list_(kind)) == [[{"a": 1}], [], None]
    assert of_arrow([1, 123, None], pa.time64("ns")) == ["00:00:00.000000001", "00:00:00.000000123", None]
    assert of_arrow([1, 3_000_000, None], pa.date32()) == ["1970-01-02", "10183-09-21", None]


def test_times_of_polars_keep_their_nanoseconds():
    polars = pytest.importorskip("polars")
    at = polars.Series([1_000_000_000_123_456_789, None])
    table = polars.DataFrame(
        {
            "id": ["a", "b"],
            "at": at.cast(polars.Datetime("ns")),
            "text": ["tea", "coffee"],
            "there": at.cast(polars.Datetime("ns")).dt.replace_time_zone("Europe/Berlin"),
            "took": polars.Series([1_000_000_001, None]).cast(polars.Duration("ns")),
            "of": [{"day": 3_000_000}, None],
        },
        schema_overrides={"of": polars.Struct({"day": polars.Date})},
    )
    metadata = {
        "at": "2001-09-09T01:46:40.123456789",
        "there": "2001-09-09T01:46:40.123456789+02:00",
        "took": 1.000000001,
        "of": {"day": "10183-09-21"},
    }
    assert list(Corpus(table)) == [Document("a", "tea", "", metadata), Document("b", "coffee")]
    assert list(next(iter(Corpus(table))).metadata) == list(metadata)


def test_two_columns_that_differ_in_type_alone_have_one_name():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"id": ["a"], "text": ["tea"], 7: [1], "7": [2]})
    assert "the corpus has two columns '7'" in refusal(table)


def test_a_text_of_arrow_that_is_not_utf8_is_one_line():
    ends = pa.py_buffer(np.array([0, 3, 5], np.int32))
    texts = pa.StringArray.from_buffers(2, ends, pa.py_buffer(b"tea\xff\xfe"))
    message = refusal(pa.table({"id": ["a", "b"], "text": texts}))
    assert message.startswith("a text of the corpus behind 0 documents is not UTF-8 (")


def test_any_path_is_a_path(tmp_path: Path):
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "tea"}\n')
    with os.scandir(tmp_path) as found:
        (entry,) = found
    for path in (entry, PurePosixPath(tmp_path / "c.jsonl")):
        assert [document.id for document in Corpus(path)] == ["a"]
