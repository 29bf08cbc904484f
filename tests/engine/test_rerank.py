"""Cross-encoders that stay loaded between searches."""

from __future__ import annotations

import numpy as np
import pytest

from splade_engine.engine.rerank import cross_encoder
from splade_engine.errors import InvalidInputError


@pytest.fixture
def loads(monkeypatch):
    """The sources that were loaded; the scores of a model are the number of its load."""
    asked = []

    class Model:
        def __init__(self, number):
            self.number = number

        def score(self, queries, texts):
            return np.full(len(texts), self.number, np.float32)

    def load_cross(source, **_):
        asked.append(source)
        return Model(len(asked))

    monkeypatch.setattr("splade_engine.encoder.cross.load_cross", load_cross)
    return asked


def test_a_model_that_was_written_anew_is_loaded_again(loads, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"old")
    assert [cross_encoder(str(folder))("q", ["d"]) for _ in range(2)] == [[1.0], [1.0]]
    (folder / "model.safetensors").write_bytes(b"newer")
    assert cross_encoder(str(folder))("q", ["d"]) == [2.0]
    monkeypatch.chdir(tmp_path)
    assert cross_encoder("model")("q", ["d"]) == [2.0]  # the same folder
    other = tmp_path / "elsewhere" / "model"
    other.mkdir(parents=True)
    (other / "model.safetensors").write_bytes(b"other")
    monkeypatch.chdir(other.parent)
    assert cross_encoder("model")("q", ["d"]) == [3.0]  # the same name
    assert loads == [str(folder), str(folder), str(other)]


def test_the_name_of_a_model_is_a_path(loads, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"model")
    monkeypatch.setenv("HOME", str(tmp_path))
    cross_encoder("~/model")
    assert loads == [str(tmp_path / "model")]
    for name in ("x" * 5000, "a\0b", "\ud800"):
        with pytest.raises(InvalidInputError, match="rerank: a path is expected, got "):
            cross_encoder(name)
