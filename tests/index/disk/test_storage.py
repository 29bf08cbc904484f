from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_engine.errors import IndexCorruptError, StorageError
from splade_engine.index.disk.storage import (
    describe,
    digest,
    map_container,
    offsets_of,
    read_small,
    write_all,
    write_container,
)

DTYPES = {"a": "<i8", "empty": "<u4", "b": "|u1", "c": "<f2"}


def arrays() -> dict[str, np.ndarray]:
    return {
        "a": np.arange(5, dtype="<i8"),
        "empty": np.zeros(0, "<u4"),
        "b": np.arange(7, dtype="|u1"),
        "c": np.ones(600_000, "<f2"),
    }


def test_round_trip_is_aligned_and_read_only(tmp_path: Path) -> None:
    path, made = tmp_path / "file", arrays()
    write_container(path, made)
    found = map_container(path, DTYPES, describe("x", "1", made).sections, verify=True)
    for name, array in made.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert not found[name].flags.writeable
        assert found[name].ctypes.data % 64 == 0 or len(array) == 0
    assert found["c"].ctypes.data % 4096 == 0  # 1.2 MB: on a page of its own
    assert path.stat().st_size == 4096 + 1_200_000


@given(st.lists(st.one_of(st.integers(0, 300), st.integers(1 << 20, 3 << 20)), max_size=8))
def test_sections_are_aligned_and_do_not_overlap(sizes: list[int]) -> None:
    *starts, end = offsets_of(sizes)
    free = 0
    for start, size in zip(starts, sizes, strict=True):
        assert free <= start < free + 4096
        assert start % (4096 if size >= 1 << 20 else 64) == 0
        free = start + size
    assert end == free


def test_ids_depend_on_serial_kind_and_content() -> None:
    one = arrays()
    other = one | {"b": one["b"] + 1}
    ids = {
        describe(*key).id for key in [("x", "1", one), ("x", "2", one), ("y", "1", one), ("x", "1", other)]
    }
    assert len(ids) == 4
    assert describe("x", "1", one) == describe("x", "1", arrays())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path, made = tmp_path_factory.mktemp("flip") / "file", {k: v[:50] for k, v in arrays().items()}
    write_container(path, made)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    with pytest.raises(IndexCorruptError, match=r"file: (section \w+: the checksum|bytes between sections)"):
        map_container(path, DTYPES, describe("x", "1", made).sections, verify=True)


@pytest.mark.parametrize("change", [-1, 1, 4096])
def test_another_size_is_refused_without_verification_too(tmp_path: Path, change: int) -> None:
    path, made = tmp_path / "file", arrays()
    write_container(path, made)
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(IndexCorruptError, match="the manifest says"):
        map_container(path, DTYPES, describe("x", "1", made).sections, verify=False)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("link", "symbolic link"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("none", "missing"),
    ]:
        with pytest.raises(IndexCorruptError, match=reason):
            read_small(tmp_path / name, 9)


def test_read_small_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_small(tmp_path / "file", 5) == b"12345"
    with pytest.raises(IndexCorruptError, match="5 bytes, at most 4"):
        read_small(tmp_path / "file", 4)


def test_read_small_does_not_trust_the_size_it_is_told() -> None:
    with pytest.raises(IndexCorruptError, match="more than 10 bytes"):
        read_small(Path("/proc/self/status"), 10)  # says that it is empty


def test_files_are_written_once(tmp_path: Path) -> None:
    write_container(tmp_path / "file", arrays())
    with pytest.raises(StorageError, match="File exists") as caught:
        write_container(tmp_path / "file", arrays())
    assert caught.value.errno == 17
    assert caught.value.filename == str(tmp_path / "file")


@pytest.mark.parametrize("taken", [0, 3])
def test_a_system_that_takes_little_or_nothing(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Short writes go on where they stopped; one that takes nothing is an error, not an endless loop."""
    calls: list[bytes] = []

    def write(fd: int, data: memoryview) -> int:
        calls.append(bytes(data[:taken]))
        assert len(calls) < 10, "it would go on for ever"
        return min(taken, len(data))

    monkeypatch.setattr("splade_engine.index.disk.storage.os.write", write)
    if taken:
        write_all(-1, b"0123456789")
        assert b"".join(calls) == b"0123456789"
    else:
        with pytest.raises(OSError, match="wrote nothing"):
            write_all(-1, b"0123456789")


def test_the_mapping_outlives_the_name(tmp_path: Path) -> None:
    path, made = tmp_path / "file", arrays()
    write_container(path, made)
    found = map_container(path, DTYPES, describe("x", "1", made).sections, verify=False)
    path.unlink()
    path.write_bytes(b"something else")
    assert np.array_equal(found["c"], made["c"])


def test_an_empty_container(tmp_path: Path) -> None:
    made = {"a": np.zeros(0, "<i8")}
    write_container(tmp_path / "file", made)
    found = map_container(tmp_path / "file", DTYPES, describe("x", "1", made).sections, verify=True)
    assert len(found["a"]) == 0
    assert describe("x", "1", made).sections["a"].digest == digest(b"")
