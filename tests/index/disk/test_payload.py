from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.disk.payload import Payload, checked_table, join_tables, payload_dtypes
from splade_engine.index.disk.records import ColumnRecord

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
COLUMNS = {
    "text": (pa.string(), TEXT),
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "texts": (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
}


def stored(table: pa.Table) -> Payload:
    """Through the sections of the file and back."""
    made = Payload(checked_table(table, table.num_rows))
    arrays = made.arrays()
    dtypes = payload_dtypes(made.columns)
    assert list(arrays) == list(dtypes)
    assert all(np.dtype(dtypes[n]) == a.dtype for n, a in arrays.items())
    return Payload.from_arrays(arrays, made.columns, table.num_rows, full=True)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_table_comes_back(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 20))
    columns = {}
    for kind in data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True)):
        arrow, values = COLUMNS[kind]
        rows = data.draw(st.lists(st.one_of(values, st.none()), min_size=n, max_size=n))
        columns[f"{kind} column"] = pa.array(rows, arrow)
    table = pa.table(columns)
    cut = data.draw(st.integers(0, n - 1))
    for part in (table, table.slice(cut)):
        found = stored(part)
        assert found.table.to_pylist() == part.to_pylist()
        back = np.arange(part.num_rows)[::-1]
        assert found.rows(back) == part.to_pylist()[::-1]


def test_nothing_but_nulls_and_other_arrow_types() -> None:
    table = pa.table(
        {
            "null": pa.nulls(3),
            "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
            "half": pa.array(np.arange(3, dtype=np.float16)),
            "chunks": pa.chunked_array([["x"], ["y", None]]),
        }
    )
    assert stored(table).table.to_pylist() == [
        {"null": None, "dictionary": "a", "half": 0.0, "chunks": "x"},
        {"null": None, "dictionary": "b", "half": 1.0, "chunks": "y"},
        {"null": None, "dictionary": "a", "half": 2.0, "chunks": None},
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": 1}, "expected a pyarrow.Table, got dict"),
        (pa.table({"a": [1, 2]}), "2 rows for 3 documents"),
        (pa.table({"a": [{"b": 1}] * 3}), "column 'a' is of type struct"),
        (pa.table({"a": [b"x"] * 3}), "column 'a' is of type binary"),
        (pa.table([[1, 2, 3], [1, 2, 3]], names=["a", "a"]), "two columns are called 'a'"),
        (pa.table({"": [1, 2, 3]}), "column name of 0"),
        (pa.table({f"c{i}": [1, 2, 3] for i in range(513)}), "513 columns, at most 512"),
        (pa.table({"a": pa.array([2**63] * 3, pa.uint64())}), "column 'a': .*not in range"),
        (pa.table({"a": [["x", None]] * 3}), "list of texts holds a null"),
        (pa.table({"a": [[], ["x"], ["y", None]]}), "column 'a', row 2: a list of texts holds a null"),
    ],
)
def test_bad_tables_are_named(table: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Payload(checked_table(table, 3)).arrays()


def test_a_table_without_columns_is_no_payload() -> None:
    assert checked_table(pa.table({"a": [1, 2]}).select([]), 2) is None


EXAMPLE = pa.table(
    {
        "t": ["a", None, "é"],
        "n": pa.array([1, None, 3]),
        "b": [True, None, False],
        "l": [["x"], None, ["y", "z"]],
    }
)


def put(place: int, value: int) -> object:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("0.valid", lambda a: a[:0]),
        ("0.offsets", lambda a: a[:-1]),
        ("0.offsets", put(0, 1)),
        ("0.offsets", put(1, 9)),
        ("0.offsets", put(1, -(2**62))),
        ("0.offsets", put(3, 2**62)),
        ("0.bytes", lambda a: a[:-1]),
        ("0.bytes", put(1, 0xFF)),
        ("1.values", lambda a: a[:2]),
        ("1.values", lambda a: np.concatenate((a, a))),
        ("2.values", lambda a: np.concatenate((a, a))),
        ("1.valid", lambda a: np.concatenate((a, a))),
        ("2.values", lambda a: a[:0]),
        ("3.offsets", put(1, 5)),
        ("3.offsets", lambda a: a[:0]),
        ("3.item_offsets", lambda a: a[:0]),
        ("3.item_offsets", put(1, 7)),
        ("3.bytes", lambda a: np.concatenate((a, a))),
    ],
)
def test_damage_is_found(section: str, change: object) -> None:
    made = Payload(checked_table(EXAMPLE, 3))
    arrays = {n: a.copy() for n, a in made.arrays().items()}
    arrays[section] = change(arrays[section])
    name = EXAMPLE.column_names[int(section[0])]
    for full in (True, False) if arrays[section].tobytes().find(b"\xff") < 0 else (True,):
        with pytest.raises(IndexCorruptError, match=f"column '{name}'"):
            Payload.from_arrays(arrays, made.columns, 3, full=full)


def test_an_unknown_type_is_refused() -> None:
    for kind in ("os.system", "", "text ", "texts[]"):
        with pytest.raises(IndexCorruptError, match="column 'a': no such type"):
            payload_dtypes([ColumnRecord("a", kind, False)])


def test_joining_fills_gaps_and_widens() -> None:
    joined = join_tables(
        [
            (checked_table(pa.table({"a": [1], "b": ["x"]}), 1), 1),
            (None, 2),
            (checked_table(pa.table({"a": [0.5], "c": pa.nulls(1)}), 1), 1),
        ]
    )
    assert joined.to_pylist() == [
        {"a": 1.0, "b": "x", "c": None},
        {"a": None, "b": None, "c": None},
        {"a": None, "b": None, "c": None},
        {"a": 0.5, "b": None, "c": None},
    ]
    assert join_tables([(None, 3), (None, 1)]) is None
    with pytest.raises(InvalidInputError, match="column 'a' is int in the index and text"):
        join_tables(
            [(checked_table(pa.table({"a": [1]}), 1), 1), (checked_table(pa.table({"a": ["x"]}), 1), 1)]
        )


def test_rows_without_any_column_left_are_empty_and_as_many() -> None:
    found = stored(pa.table({"title": ["a", "b", "c"], "text": ["x", "y", "z"]}))
    assert found.rows(np.array([2, 0])) == [{"title": "c", "text": "z"}, {"title": "a", "text": "x"}]
    assert found.rows(np.array([2, 0]), without=("text",)) == [{"title": "c"}, {"title": "a"}]
    assert found.rows(np.array([2, 0]), without=("title", "text")) == [{}, {}]
