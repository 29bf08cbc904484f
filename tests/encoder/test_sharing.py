"""The card of an encoder that is shared; what is uploaded is tested against a hub in tests/test_hub.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from splade_engine import SparseEncoder
from splade_engine.errors import CheckpointError


@pytest.fixture
def pushed(mlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Push an encoder with this README.md; the card that would be uploaded."""
    monkeypatch.setattr("splade_engine.encoder.sharing.upload", lambda folder, name, card, **_: card)

    def push(readme: str) -> str:
        folder = shutil.copytree(mlm_folder, tmp_path / "mine")
        (folder / "README.md").write_text(readme, encoding="utf-8")
        return SparseEncoder.load(folder).push_to_hub("someone/mine")

    return push


@pytest.mark.parametrize("readme", ["---\ntags: tea\n---\nMine", "\ufeff---\r\ntags: [tea]\r\n---\r\nMine"])
def test_the_card_keeps_its_own_metadata(pushed, readme: str) -> None:
    lines = pushed(readme).splitlines()
    assert lines[:5] == ["---", "tags:", "- tea", "- splade-engine", "- learned-sparse-retrieval"]
    assert "Mine" in lines and 'encoder = SparseEncoder.load("hf://someone/mine")' in lines


@pytest.mark.parametrize(
    "metadata", ["a: [", "- a", "model-index: 5", "a: !!python/object/apply:os.system ['x']", "[" * 2000]
)
def test_a_card_that_the_hub_would_not_take(pushed, metadata: str) -> None:
    with pytest.raises(CheckpointError, match=r"mine/README\.md: its metadata cannot be read") as told:
        pushed(f"---\n{metadata}\n---\nMine")
    assert "\n" not in str(told.value)
