"""The sparse head against the dense one.

Values, gradients of hidden, weight and bias, padding, chunks, devices' paths.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splade_engine.training.student import head
from splade_engine.training.student.activations import activate
from tests.training import oracle_training as oracle

# CPU and accelerator code, both run here; on the CPU slices of the vocabulary, one document at a time, all
# together
PATHS = [
    (head._pool_by_document, 12),
    (head._pool_by_document, 70),
    (head._pool_by_document, 1000),
    (head._pool_by_chunk, 0),
]


def inputs(seed=0, batch=3, length=5, width=4, terms=11, bias=True, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, length, width, generator=g, dtype=dtype, requires_grad=True)
    weight = torch.randn(terms, width, generator=g, dtype=dtype, requires_grad=True)
    b = torch.randn(terms, generator=g, dtype=dtype, requires_grad=True) if bias else None
    mask = torch.rand(batch, length, generator=g) > 0.4  # padding anywhere, not only at the end
    mask[0] = True
    return hidden, weight, b, mask


def dense(hidden, weight, bias, mask):
    logits = F.linear(hidden, weight, bias).masked_fill(~mask.unsqueeze(-1), -torch.inf)
    return F.relu(logits.max(1).values)


@pytest.fixture(params=PATHS, ids=["slices", "documents", "whole", "chunks"])
def path(request, monkeypatch):
    function, logits = request.param
    monkeypatch.setattr(head, "_pool_by_document", function)  # the CPU dispatches to this name
    monkeypatch.setattr(head, "CPU_LOGITS", logits)
    monkeypatch.setattr(head, "DEVICE_LOGITS", 60)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_values_and_gradients_equal_the_dense_head(path, seed, bias):
    sparse_in, dense_in = inputs(seed, bias=bias), inputs(seed, bias=bias)
    a, b = head.max_pool(*sparse_in), dense(*dense_in)
    assert torch.equal(a > 0, b > 0)
    torch.testing.assert_close(a, b)
    np.testing.assert_allclose(
        a.detach().numpy(),
        oracle.max_pool(*(None if x is None else x.detach().numpy() for x in sparse_in)),
        atol=1e-12,
    )
    upstream = torch.randn(a.shape, dtype=a.dtype, generator=torch.Generator().manual_seed(9))
    (activate(a, "log1p_relu") * upstream).sum().backward()
    (activate(b, "log1p_relu") * upstream).sum().backward()
    for x, y in zip(sparse_in[:3], dense_in[:3], strict=True):
        if x is not None:
            torch.testing.assert_close(x.grad, y.grad)


def test_gradcheck_in_float64(path):
    hidden, weight, bias, mask = inputs(3)
    assert torch.autograd.gradcheck(lambda h, w, b: head.max_pool(h, w, b, mask), (hidden, weight, bias))


def test_frozen_decoder_gets_no_gradient(path):
    hidden, weight, bias, mask = inputs()
    head.max_pool(hidden, weight.detach(), bias.detach(), mask).sum().backward()
    assert hidden.grad is not None and weight.grad is None


def test_text_without_tokens_is_zero_and_harmless(path):
    hidden, weight, bias, mask = inputs()
    mask[1] = False
    out = head.max_pool(hidden, weight, bias.abs().detach(), mask)
    out.sum().backward()
    assert out[1].count_nonzero() == 0 and out[0].count_nonzero() > 0
    assert hidden.grad[1].count_nonzero() == 0
    assert torch.isfinite(hidden.grad).all()


def test_nothing_active_gives_zero_gradients(path):
    hidden, weight, _, mask = inputs()
    bias = torch.full((11,), -1e6, dtype=torch.float64, requires_grad=True)
    head.max_pool(hidden, weight, bias, mask).sum().backward()
    assert hidden.grad.abs().sum() == weight.grad.abs().sum() == bias.grad.abs().sum() == 0


def test_autocast_projects_in_bfloat16_and_returns_float32(path):
    hidden, weight, bias, mask = inputs(dtype=torch.float32)
    exact = head.max_pool(hidden, weight, bias, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = head.max_pool(hidden, weight, bias, mask)
    rough.sum().backward()
    assert rough.dtype == torch.float32 and hidden.grad.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.05)


def test_no_gradient_wanted_keeps_no_pairs(monkeypatch):
    seen = []
    original = head._pool_by_document
    monkeypatch.setattr(head, "_pool_by_document", lambda *a: seen.append(original(*a)) or seen[-1])
    hidden, weight, bias, mask = (x.detach() for x in inputs())
    head.max_pool(hidden, weight, bias, mask)
    assert len(seen[0][1]) == 0


def test_sum_pool_equals_the_dense_sum(monkeypatch):
    monkeypatch.setattr(head, "SUM_CHUNK", 3)
    hidden, weight, bias, mask = inputs()
    out = head.sum_pool(hidden, weight, bias, mask)
    np.testing.assert_allclose(
        out.detach().numpy(), oracle.sum_pool(*(x.detach().numpy() for x in (hidden, weight, bias, mask)))
    )
    assert torch.autograd.gradcheck(lambda h, w, b: head.sum_pool(h, w, b, mask), (hidden, weight, bias))


def test_lexical_pool_takes_the_maximum_of_repeated_terms():
    scores = torch.tensor(
        [[1.0, 3.0, 2.0, 9.0], [0.5, 0.0, 4.0, 1.0]], dtype=torch.float64, requires_grad=True
    )
    ids = torch.tensor([[2, 2, 5, 1], [0, 1, 0, 3]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    out = head.lexical_pool(scores, ids, mask, 7)
    assert np.array_equal(out.detach().numpy(), oracle.lexical_pool(scores.detach().numpy(), ids, mask, 7))
    out.sum().backward()
    assert scores.grad[0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("seed", range(1))
def test_wanted_terms_pass_below_zero(path, seed):
    """A loss that brings terms to life needs their gradient where relu has none."""
    hidden, weight, bias, mask = inputs(seed)
    wanted = torch.rand(3, 11, generator=torch.Generator().manual_seed(seed)) > 0.5
    out = head.max_pool(hidden, weight, bias, mask, wanted)
    logits = F.linear(hidden, weight, bias).masked_fill(~mask.unsqueeze(-1), -torch.inf).max(1).values
    expected = torch.where((logits > 0) | (wanted & mask.any(1, keepdim=True)), logits, 0)
    torch.testing.assert_close(out, expected)
    assert (out < 0).any()
    assert torch.autograd.gradcheck(
        lambda h, w, b: head.max_pool(h, w, b, mask, wanted), (hidden, weight, bias)
    )


@pytest.mark.parametrize("bias", [True, False])
def test_relu_gelu_has_a_gradient_below_zero(path, bias):
    """With a floor the pooled logits, and gelu's gradient through them, are those of the dense head."""

    def both(values, pooled):
        weights = activate(pooled, "relu_gelu")
        return weights, torch.autograd.grad(weights.sum(), [v for v in values[:3] if v is not None])

    sparse_in, dense_in = inputs(3, bias=bias), inputs(3, bias=bias)
    logits = F.linear(*dense_in[:3]).masked_fill(~dense_in[3].unsqueeze(-1), -torch.inf).max(1).values
    assert (logits < 0).any()
    got, want = both(sparse_in, head.max_pool(*sparse_in, floor=-1e9)), both(dense_in, logits)
    torch.testing.assert_close(got[0], want[0])
    for a, b in zip(got[1], want[1], strict=True):
        torch.testing.assert_close(a, b)
    pooled = head.max_pool(*inputs(3, bias=bias), floor=-0.5).detach()
    torch.testing.assert_close(pooled, torch.where(logits > -0.5, logits, 0).detach())
