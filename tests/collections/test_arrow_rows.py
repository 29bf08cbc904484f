"""Rows of Arrow's batches as records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from splade_engine.collections.arrow_rows import arrow_rows
from splade_engine.collections.corpus import Corpus

NS = pa.timestamp("ns")
TEXTS = pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        # times that Python does not hold were a traceback
        (NS, 1, "1970-01-01T00:00:00.000000001"),
        (NS, 1000, "1970-01-01T00:00:00.000001"),
        (pa.timestamp("ns", "Asia/Kolkata"), -1, "1970-01-01T05:29:59.999999999+05:30"),
        (pa.timestamp("s"), 10**15, "31690708-07-05T01:46:40"),
        (pa.timestamp("s", "Europe/Berlin"), 1_600_000_000, "2020-09-13T14:26:40+02:00"),
        (pa.timestamp("s", "Mars/Base"), 1_600_000_000, "2020-09-13T12:26:40+00:00"),
        (pa.date32(), 10**8, "275760-09-13"),
        (pa.date32(), 1, "1970-01-02"),
        (pa.date64(), 86_400_000, "1970-01-02"),
        (pa.time64("ns"), 3_600_000_000_001, "01:00:00.000000001"),
        (pa.duration("ns"), 1500, 1.5e-06),  # was 1500 where one of 256 had a part of a microsecond
        (pa.duration("s"), 10**15, 1e15),
        (pa.list_(NS), [1, None], ["1970-01-01T00:00:00.000000001", None]),
        (pa.list_(pa.date32(), 2), [1, 2], ["1970-01-02", "1970-01-03"]),
        (pa.struct([("at", NS)]), {"at": 1}, {"at": "1970-01-01T00:00:00.000000001"}),
        # maps were lists of pairs, into which no filter looks
        (TEXTS, [("k", "v")], {"k": "v"}),
        (TEXTS, [], {}),
        (pa.map_(pa.string(), NS), [("k", 1)], {"k": "1970-01-01T00:00:00.000000001"}),
        (pa.list_(TEXTS), [[("k", "v")]], [{"k": "v"}]),
        # no objects of JSON, and nothing may be lost
        (pa.map_(pa.int32(), pa.string()), [(1, "v")], [[1, "v"]]),
        (TEXTS, [("k", "v"), ("k", "w")], [["k", "v"], ["k", "w"]]),
        (TEXTS, None, None),
    ],
    ids=str,
)
def test_values(kind: pa.DataType, given: Any, kept: Any, tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "text": ["x"], "f": pa.array([given], kind)})
    assert arrow_rows(table) == [{"id": "a", "text": "x", "f": kept}]
    feather.write_feather(table, tmp_path / "c.arrow")
    (document,) = Corpus(tmp_path / "c.arrow")
    assert document.metadata == ({} if kept is None else {"f": kept})
    assert list(Corpus(table)) == [document]


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (NS, 1, "1970-01-01T00:00:00.000000001"),
        (pa.timestamp("s"), 10**15, "31690708-07-05T01:46:40"),
        (pa.duration("ns"), 1500, 1.5e-06),
        (pa.time64("ns"), 1, "00:00:00.000000001"),
        (TEXTS, [("k", "v")], {"k": "v"}),
    ],
    ids=str,
)
def test_values_that_are_stored_otherwise(kind: pa.DataType, given: Any, kept: Any) -> None:
    """Times were a traceback, and maps lists of pairs, but in plain columns, lists and structs."""
    values = pa.array([given, None], kind)
    runs = pa.RunEndEncodedArray.from_arrays([1, 2], values)
    columns = {
        "runs": (runs, kept),
        "union": (pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [values]), kept),
        "own": (pa.ExtensionArray.from_storage(pa.opaque(kind, "t", "v"), values), kept),
        "views": (pa.array([[given, None], None], pa.list_view(kind)), [kept, None]),
        "large views": (pa.array([[], [given]], pa.large_list_view(kind)), []),
        "within": (pa.StructArray.from_arrays([runs], ["at"]), {"at": kept}),
    }
    if not pa.types.is_map(kind):
        columns["dictionary"] = (values.dictionary_encode(), kept)
        columns["listed"] = (pa.ListArray.from_arrays([0, 1, 2], values.dictionary_encode()), [kept])
    table = pa.table({name: column for name, (column, _) in columns.items()})
    first, second = arrow_rows(table)
    assert first == {name: expected for name, (_, expected) in columns.items()}
    empty = {"views": None, "large views": [kept], "within": {"at": None}, "listed": [None]}
    assert second == {name: empty.get(name) for name in columns}
    assert arrow_rows(table.slice(1)) == [second]
