"""What is a folder of ours, by what stands in it and never by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from splade_engine.encoder.folders.hub import MODELS
from splade_engine.errors import InvalidInputError
from splade_engine.files import refuse_ours
from splade_engine.vectors import SparseVectors, write_vectors
from tests.index import made


def test_the_folders_that_are_ours(tmp_path: Path) -> None:
    index = made.index(tmp_path / "ix").path
    for name, files in {
        "run": {"recipe.toml": "", "run.json": "{}"},
        "encoding": {"plan.json": '{"shard_docs": 5}'},
        "encoder": {"config.json": "{}", "tokenizer.json": "{}"},
        # of others
        "site": {"manifest.json": '{"name": "app"}', "config.json": "{}", "plan.json": "{}"},
    }.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    (tmp_path / "link").symlink_to(index)
    ours = {
        index: "an index",
        index / "deep" / "deeper": "an index",
        tmp_path / "link": "an index",
        tmp_path / "run": "a training run",
        tmp_path / "encoding": "an encoding",
        tmp_path / "encoder": "an encoder",
        MODELS / "default": "an encoder",
    }
    for folder, title in ours.items():
        with pytest.raises(InvalidInputError, match=f"which is {title}; choose another place"):
            refuse_ours(folder / "new.arrow")
    for free in (index, tmp_path / "new", tmp_path / "site" / "new", tmp_path / "run" / "more" / "new"):
        refuse_ours(free)
    with pytest.raises(InvalidInputError, match="lies in"):
        write_vectors(index / "new.arrow", SparseVectors.empty(5, 1))
    assert not (index / "new.arrow").exists()
