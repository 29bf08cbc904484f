"""`scripts/bench_encode`: OpenVINO stands where the ONNX runner expects onnxruntime's session."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from splade_engine.encoder.kinds.onnx import _Runner

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_encode"


def script() -> Any:
    loader = SourceFileLoader("bench_encode", str(SCRIPT))
    spec = spec_from_loader("bench_encode", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_openvino_runs_what_the_runner_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [feeds["attention_mask"].astype(np.float32)]

    core = SimpleNamespace(compile_model=lambda graph, device, hint: compiled)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))  # type: ignore[arg-type]
    runner = _Runner.__new__(_Runner)
    runner._session = script().OpenVino(Path("model.onnx"), "bf16")
    runner._graph, runner._n_terms, runner._options = Path("model.onnx"), 3, object()
    ((terms, weights),) = runner.run([np.arange(3, dtype=np.int32)], None)
    assert terms.tolist() == [0, 1, 2] and weights.tolist() == [1, 1, 1]
