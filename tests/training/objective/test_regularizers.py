"""Regularisers and ramps: numpy twins, gradients, sentence-transformers where it has the same one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective import regularizers as reg
from splade_engine.training.objective.schedules import ramp
from tests.training import oracle_training as oracle


def weights(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    w = torch.rand(*shape, generator=g, dtype=torch.float64) + 0.1
    return w * (torch.rand(*shape, generator=g) > 0.4)


@pytest.mark.parametrize("threshold", [None, 4])
@pytest.mark.parametrize(
    ("shape", "reduction"), [((6, 9), "flat"), ((6, 3, 9), "flat"), ((6, 3, 9), "per_slot")]
)
def test_flops(shape, reduction, threshold):
    w, factors = weights(*shape), weights(9, seed=5) + 0.1
    for f in (None, factors):
        got = reg.flops(w, reduction=reduction, threshold=threshold, term_factors=f)
        want = oracle.flops(w.numpy(), reduction, threshold, None if f is None else f.numpy())
        np.testing.assert_allclose(got, want)
    inside = w.clone().requires_grad_()  # zeros stay zero: the mask is constant around the point
    positive = (weights(*shape) + 0.2).requires_grad_()
    for x in (positive,) if threshold is None else (positive, inside):
        assert torch.autograd.gradcheck(
            lambda v: reg.flops(v * (w != 0), reduction=reduction, threshold=threshold), x
        )


def test_per_slot_is_group_times_flat_when_slots_agree():
    w = weights(6, 9)[:, None].expand(-1, 4, -1)
    np.testing.assert_allclose(reg.flops(w, reduction="per_slot"), 4 * reg.flops(w, reduction="flat"))


@pytest.mark.parametrize("threshold", [None, 4])
def test_flops_is_the_one_of_sentence_transformers(threshold):
    from sentence_transformers.sparse_encoder.losses import FlopsLoss

    w = weights(6, 9)
    theirs = FlopsLoss(None, threshold=threshold).compute_loss_from_embeddings(w)
    torch.testing.assert_close(reg.flops(w, reduction="flat", threshold=threshold), theirs)


def test_flops_refuses_what_it_cannot_reduce():
    with pytest.raises(InvalidInputError, match=r"per_slot needs .*got \(6, 9\)"):
        reg.flops(weights(6, 9), reduction="per_slot")
    with pytest.raises(InvalidInputError, match="'mean' is not one of flat, per_slot"):
        reg.flops(weights(6, 9), reduction="mean")


def test_masked_documents_get_no_gradient():
    w = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], requires_grad=True)
    reg.flops(w, reduction="flat", threshold=2).backward()
    assert w.grad.tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]]


def test_l1_and_l0():
    w = weights(6, 9)
    np.testing.assert_allclose(reg.l1(w), w.numpy().sum(1).mean())
    np.testing.assert_allclose(reg.l0(w), np.count_nonzero(w, axis=1).mean(), rtol=1e-6)
    assert torch.autograd.gradcheck(reg.l1, (w + 0.2).requires_grad_())


def test_df_factors():
    x = torch.tensor([0.0, 1e-9, 0.05, 0.1, 0.2, 1.0], dtype=torch.float64)
    got = reg.df_factors(x, 0.1, 10.0)
    np.testing.assert_allclose(got, [oracle.df_factors(v, 0.1, 10.0) for v in x.tolist()], rtol=1e-9)
    assert got[3].item() == pytest.approx(0.5) and got[5].item() == 1.0 and (got.diff() >= 0).all()
    assert torch.isfinite(reg.df_factors(x.float())).all()
    with pytest.raises(InvalidInputError, match="half must lie between 0 and 1, got 1"):
        reg.df_factors(x, half=1.0)


def test_joint_flops():
    q, d = weights(4, 9), weights(5, 2, 9, seed=1)
    np.testing.assert_allclose(reg.joint_flops(q, d), oracle.joint_flops(q.numpy(), d.numpy().reshape(10, 9)))
    assert torch.autograd.gradcheck(reg.joint_flops, (q.requires_grad_(), d.requires_grad_()))


def test_anti_collapse():
    q, d = weights(4, 9), weights(5, 9, seed=1)
    want = 1 / q.numpy().sum() ** 2 + 1 / d.numpy().sum() ** 2
    np.testing.assert_allclose(reg.anti_collapse(q, d), want)
    np.testing.assert_allclose(reg.anti_collapse(None, d), 1 / d.numpy().sum() ** 2)
    assert torch.isfinite(reg.anti_collapse(q * 0, d * 0))
    assert torch.autograd.gradcheck(reg.anti_collapse, (q.requires_grad_(), d.requires_grad_()))


def test_flops_metric_counts_shared_terms():
    q, d = weights(40, 9), weights(50, 9, seed=1)
    pairs = np.mean([np.count_nonzero(a * b) for a in q.numpy() for b in d.numpy()])
    got = reg.flops_metric((q > 0).double().mean(0), (d > 0).double().mean(0))
    np.testing.assert_allclose(got, pairs)


def test_ramps():
    assert [ramp(s, 4) for s in (0, 1, 2, 4, 9)] == [0, 1 / 16, 1 / 4, 1, 1]
    assert [ramp(s, 4, "linear") for s in (1, 2, 4, 9)] == [1 / 4, 1 / 2, 1, 1]
    assert ramp(1, 100, "constant") == ramp(1, 0) == 1
    with pytest.raises(InvalidInputError, match="'cosine' is not one of quadratic"):
        ramp(1, 4, "cosine")


def test_only_the_tail_of_an_over_long_text_is_charged():
    weights = torch.tensor([[5.0, 1.0, 2.0, 3.0], [0.0, 4.0, 0.0, 1.0]], requires_grad=True)
    got = reg.flops(weights, reduction="flat", threshold=2, tail=True)
    # of the first text 1 and 2, of the second nothing; means .5 and 1
    assert got.item() == pytest.approx(0.5**2 + 1.0**2)
    got.backward()
    assert weights.grad.tolist() == [[0.0, 0.5, 1.0, 0.0], [0.0] * 4]
    weights = weights.detach()
    mask = reg.flops(weights, reduction="flat", threshold=2)
    assert float(mask) == pytest.approx(2.5**2 + 0.5**2 + 1.0**2 + 1.5**2)
    assert float(reg.flops(weights, reduction="flat", threshold=4, tail=True)) == 0
    assert float(reg.flops(weights, reduction="flat", threshold=9, tail=True)) == 0


def test_idf_factors_charge_what_finds_little():
    factors = reg.idf_factors(torch.tensor([0.0, 0.5, 1.0, 5.0, 10.0]))
    assert factors.tolist() == [5.0, 5.0, 5.0, 1.0, 0.5]
    # the gradient of a term of idf 1 is 25 times that of one of idf 5, and not a 25th
    weights = torch.ones(1, 5, requires_grad=True)
    reg.flops(weights, reduction="flat", term_factors=factors).backward()
    assert weights.grad[0, 2] / weights.grad[0, 3] == pytest.approx(25)
