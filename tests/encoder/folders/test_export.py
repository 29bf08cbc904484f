from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.encoder import SparseEncoder
from splade_engine.errors import InvalidInputError
from tests.encoder import zoo


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


def test_what_sentence_transformers_has_no_place_for_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SparseEncoder.load(zoo.make("compact", tmp_path / "m")).save(tmp_path / "st")
    (line,) = [r.getMessage() for r in caplog.records if "no place for" in r.getMessage()]
    assert "dense_head, min_weight" in line and "gives other vectors of this folder" in line
    caplog.clear()
    SparseEncoder.load(zoo.make("mlm", tmp_path / "plain")).save(tmp_path / "plain-st")
    assert not caplog.records
