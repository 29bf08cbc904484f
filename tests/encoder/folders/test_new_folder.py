from __future__ import annotations

import errno
from pathlib import Path

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.encoder.folders.new_folder import new_folder
from splade_engine.errors import InvalidInputError, StorageError


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with new_folder(target) as out:
        (out / "a").write_text("1")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["a"]
    assert [p.name for p in target.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "model"
    target.mkdir()
    if overwrite:
        (target / "old").write_text("kept")
    with pytest.raises(RuntimeError), new_folder(target, overwrite=overwrite) as out:
        (out / "new").write_text("lost")
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == (["old"] if overwrite else [])
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_occupied_targets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match="not a folder"), new_folder(tmp_path / "file"):
        pass
    with pytest.raises(InvalidInputError, match="not empty"), new_folder(tmp_path):
        pass
    assert (tmp_path / "file").read_text() == "x"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left"), new_folder(tmp_path / "model"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_encoder_refuses_to_save_over_something(mlm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InvalidInputError, match="not empty"):
        SparseEncoder.load(mlm_folder).save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_saved_encoder_is_the_same_encoder(mlm_folder: Path, texts: list[str], tmp_path: Path) -> None:
    first = SparseEncoder.load(mlm_folder, dtype="float32", max_length=20)
    first.save(tmp_path / "copy")
    second = SparseEncoder.load(tmp_path / "copy", dtype="float32")
    assert second.max_length == 20
    assert second.vocabulary == first.vocabulary
    assert second.encode_documents(texts) == first.encode_documents(texts)
