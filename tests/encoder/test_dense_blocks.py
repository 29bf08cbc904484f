"""Blocks of dense vectors: what was written, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splade_engine.encoder.dense_blocks import read_block, write_block

VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_a_block_comes_back(tmp_path: Path) -> None:
    write_block(tmp_path / "b", VECTORS)
    found = read_block(tmp_path / "b", 3)
    assert found is not None and np.array_equal(found, VECTORS)
    assert read_block(tmp_path / "b", 4) is None
    assert read_block(tmp_path / "c", 3) is None


def test_a_block_of_something_else_is_none(tmp_path: Path) -> None:
    write_block(tmp_path / "b", VECTORS, b"texts")
    found = read_block(tmp_path / "b", 3, b"texts")
    assert found is not None and np.array_equal(found, VECTORS)
    assert read_block(tmp_path / "b", 3, b"others") is None
    assert read_block(tmp_path / "b", 3) is None


def test_a_damaged_block_is_none(tmp_path: Path) -> None:
    file = tmp_path / "b"
    write_block(file, VECTORS)
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_block(file, 3) is None
        file.write_bytes(whole[:place])
        assert read_block(file, 3) is None
