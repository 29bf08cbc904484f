from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from splade_engine.errors import IndexCorruptError, InvalidInputError
from splade_engine.index.disk.ids import IdColumn, decimal_ids, encode_ids, free_ids, hash_ids

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, unique=True, max_size=30), st.lists(TEXT, max_size=5))
def test_ids_come_back_and_are_found(ids: list[str], others: list[str]) -> None:
    column = IdColumn.build(ids)
    column.check(len(ids))
    assert column.take(np.arange(len(ids))) == ids
    wanted = [*ids, *others]
    assert column.find(wanted).tolist() == [ids.index(i) if i in ids else -1 for i in wanted]
    backwards = np.arange(len(ids))[::-1]
    again = IdColumn.from_encoded(*column.select(backwards))
    assert again.take(np.arange(len(ids))) == ids[::-1]
    assert again.hashes().tolist() == hash_ids(*encode_ids(ids[::-1])).tolist()


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (range(0), [5, 6, 7]),
        (range(5, 6), [6, 7, 8]),
        (range(5, 100_000), [100_000, 100_001, 100_002]),  # a row that compaction has left behind
        (range(0, 10**6, 2), [5, 7, 9]),
        (range(6, 10**6, 3), [5, 7, 8]),
        (range(0, 10**6, 5), [6, 7, 8]),
    ],
)
def test_default_ids_are_numbers_that_are_free(taken: range, expected: list[int]) -> None:
    asked: list[str] = []

    def find(ids: Sequence[str]) -> NDArray[np.int64]:
        asked.extend(ids)
        return np.array([0 if int(id) in taken else -1 for id in ids], np.int64)

    assert free_ids(5, 3, find) == [str(number) for number in expected]
    assert len(asked) < 60
    assert free_ids(5, 0, find) == []


def naive_hash(text: str) -> int:
    """The hash of docs/format.md, one id at a time."""
    data, mask = text.encode(), 2**64 - 1
    h = len(data)
    for a in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[a : a + 8], "little")) * 0x9E3779B97F4A7C15 & mask
        h ^= h >> 32
    h = h * 0xBF58476D1CE4E5B9 & mask
    return h ^ (h >> 29)


@given(st.lists(TEXT, max_size=20))
def test_hash_is_as_documented(ids: list[str]) -> None:
    assert hash_ids(*encode_ids(ids)).tolist() == [naive_hash(i) for i in ids]


def test_looks_alike_is_not_equal() -> None:
    ids = ["\u00e9", "e\u0301", "e", "E", " e", "e ", "\te", "e\n", "😀", "\u202eabc", "abc", "a" * 4096]
    column = IdColumn.build(ids)
    assert column.find(ids).tolist() == list(range(len(ids)))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", 3], "document 1: id 3 is not a string"),
        (["a", None], "document 1: id None is not a string"),
        (["a", b"b"], "document 1: id b'b' is not a string"),
        (["a", ""], "document 1: the id is empty"),
        (["a", "b\0c"], "document 1: id 'b.x00c' holds a NUL"),
        (["a", "\ud800"], "document 1: id '.ud800' holds a lone surrogate"),
        (["a", "é" * 2049], "document 1: an id of 4098 bytes, at most 4096"),
        (["a", "b", "a"], "document 2: id 'a' is also the id of document 0"),
    ],
)
def test_bad_ids_are_named(ids: list, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        IdColumn.build(ids)


def test_an_id_that_no_document_can_have_is_not_found() -> None:
    column = IdColumn.build(["a", "é"])
    sought = ["\0", "é", "a\0", "", "\ud800", "a", "é" * 2049]
    assert column.find(sought).tolist() == [-1, 1, -1, -1, -1, 0, -1]
    assert column.find(["\0"]).tolist() == [-1]
    with pytest.raises(InvalidInputError, match="document 1: id 5 is not a string"):
        column.find(["a", 5, "\0"])


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "splade_engine.index.disk.ids.hash_ids", lambda offsets, _: np.zeros(len(offsets) - 1, np.uint64)
    )
    ids = decimal_ids(0, 20)
    column = IdColumn.build(ids)
    assert column.find([*ids, "x"]).tolist() == [*range(20), -1]
    with pytest.raises(InvalidInputError, match="also the id"):
        IdColumn.build(["a", "b", "a"])


def damaged(name: str, change: object) -> IdColumn:
    """The column of five ids with one array changed."""
    arrays = {n: a.copy() for n, a in IdColumn.build(["a", "bc", "d", "é", "f"]).arrays().items()}
    arrays[name] = change(arrays[name])
    return IdColumn(arrays)


def put(place: int, value: int) -> object:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


DAMAGE = [
    ("offsets", lambda a: a[:-1], "not 5 of them"),
    ("offsets", put(0, 1), "do not cover"),
    ("offsets", put(-1, 2**62), "do not cover"),
    ("offsets", put(2, 1), "an id of 0"),
    ("offsets", put(2, -(2**62)), "an id of"),
    ("offsets", put(4, 5), "not UTF-8"),
    ("bytes", put(0, 0), "NUL"),
    ("bytes", put(5, 0xFF), "not UTF-8"),
    ("bytes", put(0, ord("z")), "hash column does not belong"),
    ("sorted_ordinal", put(0, 5), "ordinal 5"),
    ("sorted_ordinal", put(0, 2**32 - 1), "ordinal 4294967295"),
    ("sorted_ordinal", lambda a: a[:4], "not 5 of them"),
    ("sorted_hash", put(0, 3), "hash column does not belong"),
]


@pytest.mark.parametrize(("name", "change", "message"), DAMAGE)
def test_damage_is_found(name: str, change: object, message: str) -> None:
    with pytest.raises(IndexCorruptError, match=message):
        damaged(name, change).check(5)


def test_twice_the_same_document_or_id_is_found() -> None:
    column = IdColumn.from_encoded(*encode_ids(["a", "b", "a"]))
    with pytest.raises(IndexCorruptError, match="documents 0 and 2 have the same id"):
        column.check(3)
    good = IdColumn.build(["a", "b"])
    order = [0, 0]
    hashes = hash_ids(good.offsets, good.bytes)[order]
    arrays = good.arrays() | {"sorted_ordinal": np.array(order, "<u4"), "sorted_hash": hashes}
    with pytest.raises(IndexCorruptError, match="every document once"):
        IdColumn(arrays).check(2)
    backwards = {"sorted_hash": good.sorted_hash[::-1], "sorted_ordinal": good.sorted_ordinal[::-1]}
    with pytest.raises(IndexCorruptError, match="not sorted"):
        IdColumn(good.arrays() | backwards).check(2)
