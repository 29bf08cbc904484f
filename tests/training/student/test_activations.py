"""Activations and k-sparse selection against numpy twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splade_engine.errors import InvalidInputError
from splade_engine.training.student.activations import activate, keep_top_k
from tests.training import oracle_training as oracle

X = torch.linspace(-3.05, 4, 30, dtype=torch.float64)  # no entry at the kink


def test_values():
    relu = np.maximum(X.numpy(), 0)
    np.testing.assert_allclose(activate(X, "log1p_relu"), np.log1p(relu))
    np.testing.assert_allclose(activate(X, "log1p_log1p_relu"), np.log1p(np.log1p(relu)))
    np.testing.assert_array_equal(activate(X, "relu"), relu)
    np.testing.assert_allclose(activate(X, "relu_gelu"), relu)
    for mass in (1.0, 2.5):
        want = mass * oracle.sparsemax(np.log1p(relu) / mass)
        np.testing.assert_allclose(activate(X, "sparsemax", mass), want, atol=1e-9)
        assert want.sum() == pytest.approx(mass)
    np.testing.assert_allclose(activate(X, "sparsemax", 99.0), np.log1p(relu))  # little to say: as it is


@pytest.mark.parametrize("name", ["log1p_relu", "log1p_log1p_relu", "relu", "sparsemax"])
def test_gradients(name):
    x = X.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: activate(v, name), x)


def test_relu_gelu_lets_a_dead_unit_learn():
    x = torch.tensor([-0.5], requires_grad=True)
    activate(x, "relu_gelu").sum().backward()
    assert x.grad.abs().item() > 0.01


def test_unknown_name():
    with pytest.raises(InvalidInputError, match="'softplus' is not one of log1p_relu"):
        activate(X, "softplus")


def test_top_k_keeps_values_and_gradients_of_the_kept():
    x = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    out = keep_top_k(x, 3)
    np.testing.assert_array_equal(out.detach(), oracle.keep_top_k(x.detach().numpy(), 3))
    assert torch.autograd.gradcheck(lambda v: keep_top_k(v, 3), x)
    assert keep_top_k(x, 9) is x
    with pytest.raises(InvalidInputError, match="at least 1, got 0"):
        keep_top_k(x, 0)
