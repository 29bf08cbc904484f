"""The digest of a model sees every file that any kind of model loads, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.encoder.dense import dense_fingerprint
from splade_engine.training.digests import changed, digests_of_models


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "pytorch_model.bin", "model.onnx", "config.json", "vocab.txt", "spiece.model",
     "1_Pooling/config.json", "sparse_linear.pt", "old.pth", "bpe.tiktoken"],
)  # fmt: skip
def test_a_changed_file_of_a_model_is_seen(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"one")
    (tmp_path / "README.md").write_text("one")
    begun = digests_of_models([str(tmp_path)])
    (tmp_path / "README.md").write_text("two")
    assert changed(begun, digests_of_models([str(tmp_path)])) is None
    file.write_bytes(b"two")
    assert changed(begun, digests_of_models([str(tmp_path)])) == str(tmp_path)


def test_folders_that_are_links_are_looked_into(tmp_path):
    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    model.mkdir()
    elsewhere.mkdir()
    (model / "config.json").write_text("{}")
    (elsewhere / "config.json").write_text('{"pooling": "mean"}')
    (model / "1_Pooling").symlink_to(elsewhere)
    (elsewhere / "above").symlink_to(model)
    before = digests_of_models([str(model)]), dense_fingerprint(model)
    assert before == (digests_of_models([str(model)]), dense_fingerprint(model))
    (elsewhere / "config.json").write_text('{"pooling": "cls"}')
    after = digests_of_models([str(model)]), dense_fingerprint(model)
    assert before[0] != after[0] and before[1] != after[1]
