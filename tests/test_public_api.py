from __future__ import annotations

import subprocess
import sys

import splade_engine


def test_all_lists_exactly_the_public_names() -> None:
    assert sorted(splade_engine.__all__) == splade_engine.__all__
    for name in splade_engine.__all__:
        assert getattr(splade_engine, name).__name__ == name
    assert set(dir(splade_engine)) == {*splade_engine.__all__, "__version__"}


def loaded_after(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after `statement`."""
    heavy = "torch transformers numba pyarrow scipy tokenizers numpy"
    code = f"import sys; {statement}; print(*(m for m in '{heavy}'.split() if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import splade_engine") == set()


def test_importing_vectors_loads_numpy_alone() -> None:
    assert loaded_after("from splade_engine import SparseVectors") == {"numpy"}


def test_the_index_needs_neither_torch_nor_transformers() -> None:
    assert not {"torch", "transformers"} & loaded_after("import splade_engine.index")
