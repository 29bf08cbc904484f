"""An encoder whose folder is written anew while it is loaded, as by a run that is trained again."""

from __future__ import annotations

import os
import pickle  # noqa: TID251  what multiprocessing does with arguments
import shutil
from pathlib import Path

import pytest

from splade_engine import SparseEncoder
from splade_engine.errors import CheckpointError

TEXTS = ["bado kime lulu"]
CHANGED = "its files have changed since the encoder was loaded; load it again"


@pytest.fixture
def folder(mlm_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mlm_folder, tmp_path / "model"))


def train_again(folder: Path) -> None:
    """Other weights under the same name."""
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4:] = b"\x00\x00\x80\x3f"  # 1.0
    weights.write_bytes(data)


def test_an_index_is_not_told_of_weights_that_did_not_make_its_vectors(folder: Path) -> None:
    encoder = SparseEncoder.load(folder, dtype="float32")
    encoder.encode_documents(TEXTS)
    train_again(folder)
    with pytest.raises(CheckpointError, match=CHANGED):
        encoder.fingerprint()
    assert SparseEncoder.load(folder).fingerprint()["hash"]


def test_weights_that_are_not_those_of_the_fingerprint_make_no_vectors(folder: Path) -> None:
    encoder = SparseEncoder.load(folder, dtype="float32")
    told = encoder.fingerprint()
    train_again(folder)
    with pytest.raises(CheckpointError, match=CHANGED):
        encoder.encode_documents(TEXTS)
    assert encoder.fingerprint() == told


def test_weights_that_were_copied_over_with_their_date(folder: Path) -> None:
    """As `cp -p` of a model out of the same archive does: one size, one date, other bytes."""
    encoder = SparseEncoder.load(folder, dtype="float32")
    before = (folder / "model.safetensors").stat()
    train_again(folder)
    os.utime(folder / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (folder / "model.safetensors").stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    with pytest.raises(CheckpointError, match=CHANGED):
        encoder.encode_documents(TEXTS)


def test_the_same_files_with_other_dates(folder: Path) -> None:
    """A copy on another machine, for one, to which a pickled encoder is sent."""
    encoder = SparseEncoder.load(folder, dtype="float32")
    sent = pickle.dumps(encoder)
    os.utime(folder / "model.safetensors", (1, 1))
    other = pickle.loads(sent)
    assert other.encode_documents(TEXTS) == encoder.encode_documents(TEXTS)
    assert other.fingerprint() == encoder.fingerprint()
