"""Segments joined in files give the index that a build from all documents at once gives."""

from __future__ import annotations

import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from splade_engine.errors import StorageError
from splade_engine.index import BuildConfig, IndexBatch, SparseIndex, merge
from splade_engine.index.disk import storage
from splade_engine.index.segment import build
from splade_engine.vectors import SparseVectors
from tests.index import made


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every segment is too large for the memory, every array goes into a file; the lengths of those."""
    made_arrays: list[int] = []

    def counted(folder: Path, count: int, dtype: object) -> np.ndarray:
        made_arrays.append(count)
        return storage.scratch_array(folder, count, dtype)

    monkeypatch.setattr(merge, "segment_cost", lambda *_: 1 << 40)
    monkeypatch.setattr(merge, "scratch_array", counted)
    monkeypatch.setattr(storage, "_SCRATCH_FROM", 1)
    return made_arrays


def table(first: int, n: int) -> pa.Table:
    return pa.table(
        {"title": [f"t{i}" for i in range(first, first + n)], "year": list(range(first, first + n))}
    )


def in_parts(folder: Path, n_parts: int, n: int, config: BuildConfig | None = None) -> SparseIndex:
    """An index of several segments, all of the same size as the one before or far smaller."""
    ix = SparseIndex.build(
        folder,
        made.vectors(0, n * 4**n_parts),
        payload=table(0, n * 4**n_parts),
        config=config,
        threads=1,
    )
    for i in range(1, n_parts):
        size = n * 4 ** (n_parts - i)
        ids = [f"{i}-{j}" for j in range(size)]
        ix.add(made.vectors(i, size), ids, payload=table(i, size), threads=1)
    assert ix.info().n_segments == n_parts
    return ix


@pytest.mark.parametrize("config", [BuildConfig(), BuildConfig("uint8", "split")])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_join_through_files_is_a_build_of_the_live_documents(
    memory_path: Path, little_memory: list[int], deleted: bool, config: BuildConfig
) -> None:
    ix = in_parts(memory_path / "ix", 3, 5, config)
    if deleted:
        ix.delete(["0", "17", "1-3", *[f"2-{j}" for j in range(20)]])
    live = ix.reader.snapshot.live_ordinals()
    vectors, ids, rows = ix.vectors(live), ix.ids(), ix.payload(live)
    ix.compact(memory=64)
    assert little_memory
    whole = SparseIndex.build(
        memory_path / "whole",
        vectors,
        ids,
        payload=pa.Table.from_pylist(rows),
        config=config,
        threads=1,
    )
    (a,), (b,) = ix.reader.snapshot.segments, whole.reader.snapshot.segments
    for name, array in a.arrays.items():
        assert np.array_equal(array, b.arrays[name]), name
    assert ix.ids() == ids
    assert ix.payload(np.arange(len(ix))) == rows
    ix.check(deep=True)


def test_a_build_within_a_budget_ends_in_one_segment(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, little_memory: list[int]
) -> None:
    """Whatever is cut for the budget is joined again; ids and payload alone decide how far."""
    monkeypatch.setattr("splade_engine.index.stream._BYTES_PER_DOC", 1 << 20)
    documents = made.vectors(3, 200)
    batches = [
        IndexBatch(documents[a : a + 20], [f"d{i}" for i in range(a, a + 20)], table(a, 20))
        for a in range(0, 200, 20)
    ]
    ix = SparseIndex.build(memory_path / "one", batches, memory=64, threads=1)
    assert ix.info().n_segments == 1
    assert little_memory
    assert ix.ids() == [f"d{i}" for i in range(200)]
    monkeypatch.setattr(merge, "_BYTES_PER_ID", 1 << 20)
    several = SparseIndex.build(memory_path / "several", batches, memory=64, threads=1)
    assert [len(s) <= 64 for s in several.reader.snapshot.segments] == [True] * several.info().n_segments
    assert several.info().n_segments > 1
    queries = made.vectors(99, 5)
    assert made.answers(several, queries) == made.answers(ix, queries)


def test_the_room_of_the_vectors_is_given_back_before_lists_are_made(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, little_memory: list[int]
) -> None:
    """Otherwise a join needs 8 bytes per entry of disk beside the rows, the lists and the new file."""
    held: list[weakref.ref[np.ndarray]] = []

    def watched(vectors: SparseVectors, *more: Any) -> Any:
        held.extend((weakref.ref(vectors.terms), weakref.ref(vectors.weights)))
        return build.build_rows(vectors, *more)

    def lists(arrays: Any, *more: Any) -> Any:
        assert held
        assert [ref() is None for ref in held] == [True] * len(held)
        return build.add_lists(arrays, *more)

    ix = in_parts(memory_path / "ix", 2, 5)
    patched = SimpleNamespace(build_rows=watched, add_lists=lists)
    monkeypatch.setitem(sys.modules, "splade_engine.index.segment.build", patched)
    ix.compact(memory=64)
    assert len(held) == 2
    ix.check(deep=False)


def test_no_room_for_the_join_is_an_error_before_anything_is_lost(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, little_memory: list[int]
) -> None:
    ix = in_parts(memory_path / "ix", 2, 5)
    before = (memory_path / "ix" / "manifest.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StorageError, match="No space left"):
        ix.compact(memory=64)
    assert (memory_path / "ix" / "manifest.json").read_bytes() == before
    assert len(list((memory_path / "ix").iterdir())) == len(ix.reader.snapshot.manifest.file_names()) + 2
    assert SparseIndex.open(memory_path / "ix").ids() == ix.ids()


def test_scratch_arrays_leave_nothing_behind(tmp_path: Path) -> None:
    for count in (0, 10, 1 << 20):
        array = storage.scratch_array(tmp_path, count, np.int64)
        array[:] = 7
        assert len(array) == count
        assert array.dtype == np.int64
        assert not list(tmp_path.iterdir())


def test_vectors_of_float32_and_float16_segments_are_joined(
    memory_path: Path, little_memory: list[int]
) -> None:
    """Each segment chose its own type of weights; the one they make chooses again."""
    small = SparseVectors([0, 2], [1, 3], [0.5, 1.0], 60)
    large = SparseVectors([0, 2], [1, 3], [1e6, 3e6], 60)
    ix = SparseIndex.build(memory_path / "ix", SparseVectors.concat([small] * 9), threads=1)
    ix.add(large, ["large"], threads=1)
    assert ix.info().n_segments == 2
    ix.compact(memory=64)
    assert ix.vectors([0, 9]) == SparseVectors.concat([small, large])
