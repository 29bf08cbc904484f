"""Linear layers in int8: against their rounding by hand, and a model of them against one in float32."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splade_engine.encoder import SparseEncoder, place
from splade_engine.encoder.dense import load_dense
from splade_engine.encoder.fast import int8
from splade_engine.encoder.fast.int8 import Int8Linear, has_int8_layers
from splade_engine.encoder.place import choose_place
from splade_engine.errors import InvalidInputError
from tests.encoder import zoo

here = pytest.mark.skipif(not has_int8_layers(), reason="a processor without int8 products")


def layer(activation: tuple[str, str] = ("", "")) -> tuple[Int8Linear, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    weight, bias = torch.randn(48, 64) * torch.rand(48, 1), torch.randn(48)
    return Int8Linear(weight, bias, torch.float32, activation), weight, bias


def by_hand(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Both sides rounded to whole steps, a size of step for each token and for each output."""
    step, row_step = x.abs().amax(1, keepdim=True) / 126, weight.abs().amax(1, keepdim=True) / 127
    rounded, rows = (x / step).round() * step, (weight / row_step).round() * row_step
    return (rounded.double() @ rows.double().T + bias).float()


@here
@pytest.mark.parametrize("activation", [("", ""), ("gelu", "none"), ("gelu", "tanh"), ("relu", "")])
def test_products_by_hand(activation: tuple[str, str]) -> None:
    made, weight, bias = layer(activation)
    x = torch.randn(7, 64) * torch.tensor([1.0, 1e-3, 1e3, 5, 0.1, 1, 1])[:, None]
    x[5] = 0
    wanted = by_hand(x, weight, bias)
    wanted[5] = bias
    if activation[0] == "gelu":
        wanted = F.gelu(wanted, approximate=activation[1])
    elif activation[0] == "relu":
        wanted = F.relu(wanted)
    torch.testing.assert_close(made(x), wanted, rtol=1e-5, atol=1e-5)


@here
def test_a_token_is_not_rounded_by_its_neighbours() -> None:
    made, _, _ = layer()
    x, residual = torch.randn(4, 64), torch.randn(4, 48)
    alone = made(x)
    torch.testing.assert_close(made.plus(x, residual), alone + residual, rtol=1e-5, atol=1e-5)
    loud = torch.cat((x, 1e4 * x, x.new_full((1, 64), torch.nan)))
    found = made(loud)
    assert torch.equal(found[:4], alone)
    assert found[8].isnan().all()


@here
@pytest.mark.parametrize("bfloat16", [True, False])
def test_vectors_are_close(
    mlm_folder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, bfloat16: bool
) -> None:
    monkeypatch.setattr(place, "native_bfloat16", lambda: bfloat16)
    exact = SparseEncoder.load(mlm_folder, dtype="float32", device="cpu")
    rough = SparseEncoder.load(mlm_folder, dtype="int8")
    a, b = (e.encode_documents(texts).to_scipy().toarray() for e in (exact, rough))
    assert not np.array_equal(a, b)
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.998
    for tokens in (1, 40):
        again = rough.encode_documents(texts, batch_tokens=tokens).to_scipy().toarray()
        np.testing.assert_allclose(again, b, atol=0.1 if bfloat16 else 1e-5)
    assert rough.fingerprint() == exact.fingerprint()


@here
@pytest.mark.parametrize("name", ["mlm-electra", "echo", "unicoil"])
def test_models_without_such_layers(tmp_path: Path, name: str) -> None:
    encoder = SparseEncoder.load(zoo.make(name, tmp_path / name), dtype="int8")
    with pytest.raises(InvalidInputError, match=r"dtype 'int8'.* have (no )?int8 layers"):
        encoder.encode_documents(["a text"])


@here
def test_dense_encoders_have_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="dtype 'int8': dense encoders have no int8 layers"):
        load_dense(tmp_path, dtype="int8")


@here
def test_auto_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = choose_place("auto", "int8")
    assert found.device.type == "cpu" and found.int8
    assert not choose_place("cpu", "auto").int8


def test_elsewhere_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "has_int8_layers", lambda: False)
    with pytest.raises(InvalidInputError, match=re.escape("needs a processor with AVX512-VNNI or AMX")):
        choose_place("auto", "int8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInputError, match="for the processor, not for device 'cuda:0'"):
        choose_place("cuda:0", "int8")


def test_processors_without_int8_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "fast_int8", lambda: False)
    assert not has_int8_layers.__wrapped__()
