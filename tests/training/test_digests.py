"""The digest of a model sees every file that any kind of model loads, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

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
