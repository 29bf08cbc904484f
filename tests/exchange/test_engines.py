"""Round trips with the systems themselves, as far as `exports` and `exports-ciff` are installed."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest

from scripts.export_engines.compare import compared
from scripts.export_engines.engines import ENGINES, Engine
from splade_engine.exchange import export_index
from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors

pytestmark = pytest.mark.filterwarnings("default")  # of their packages
N_TERMS = 300


def random_vectors(seed: int, n: int, mean: int) -> SparseVectors:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        terms = rng.choice(N_TERMS, max(1, int(rng.poisson(mean))), replace=False)
        rows.append({int(t): float(w) for t, w in zip(terms, rng.random(len(terms)) * 3 + 0.01, strict=True)})
    return SparseVectors.from_dicts(rows, N_TERMS)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.title)
def test_a_system_finds_what_an_exact_search_finds(tmp_path: Path, engine: Engine) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in engine.modules:
            try:
                importlib.import_module(module)
            except ImportError:
                pytest.skip(f"{module} is not installed (extra exports, exports-ciff)")
    vectors, queries = random_vectors(1, 400, 25), random_vectors(2, 20, 8)
    ids = [f"d {i}/é" for i in range(400)]
    index = SparseIndex.build(tmp_path / "ix", vectors, ids, threads=1)
    names = [f"tok{i}" for i in range(N_TERMS)]
    record = export_index(
        index, engine.target, tmp_path / "out", queries=queries, vocabulary=names, scale=1000
    )
    found = engine.ask(tmp_path / "out", 10)
    result = compared(index, queries, [str(i) for i in range(20)], found, 10)
    assert result.queries == 20
    if engine.exact:
        assert result.recall >= (record.loss.recall if record.loss else 1.0)
        assert result.same_documents >= (18 if record.loss else 20)
    else:
        assert result.recall > 0.95
