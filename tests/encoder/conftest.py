"""Tiny models for the encoder tests, made here: random weights, invented words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.encoder.made import VOCABULARY, WORDS, random_texts, write_bert


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return random_texts(23)


@pytest.fixture(scope="session")
def mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain masked language model."""
    folder = tmp_path_factory.mktemp("models") / "tiny-mlm"
    write_bert(folder)
    return folder


@pytest.fixture(scope="session")
def idf() -> dict[str, float]:
    """A weight per token, none for two of them, negative for one."""
    rng = np.random.default_rng(7)
    table = {t: float(w) for t, w in zip(VOCABULARY, rng.uniform(0.1, 9, len(VOCABULARY)), strict=True)}
    del table[WORDS[3]], table[WORDS[4]]
    table[WORDS[5]] = -1.0
    return table


@pytest.fixture
def opensearch_folder(mlm_folder: Path, idf: dict[str, float], tmp_path: Path) -> Callable[[str], Path]:
    """An OpenSearch checkpoint under a name that says its version."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(mlm_folder, folder)
        (folder / "idf.json").write_text(json.dumps(idf))
        return folder

    return make
