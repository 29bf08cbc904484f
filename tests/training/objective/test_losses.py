"""Ranking and distillation losses.

They are compared with numpy twins, by their gradients, and with sentence-transformers where it has the same.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from splade_engine.encoder.fast.simplex import sparsemax
from splade_engine.errors import InvalidInputError
from splade_engine.training.objective import distillation, losses
from tests.training import oracle_training as oracle

N, G, V = 4, 3, 7


def table(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grads(function, *tensors):
    return torch.autograd.gradcheck(function, tuple(t.clone().requires_grad_() for t in tensors))


def test_score_tables():
    q, d = table(N, V), table(N, G, V, seed=1)
    scores = losses.batch_scores(q, d)
    for i in range(N):
        for k in range(N):
            for g in range(G):
                assert scores[i, k * G + g].item() == pytest.approx((q[i] @ d[k, g]).item())


@pytest.mark.parametrize("kind", losses.CANDIDATES)
def test_candidates(kind):
    mask = losses.candidate_mask(N, G, kind)
    assert [set(row.nonzero().squeeze(1).tolist()) for row in mask] == oracle.candidates(N, G, kind)


def test_candidates_unknown():
    with pytest.raises(InvalidInputError, match="'hard' is not one of all"):
        losses.candidate_mask(N, G, "hard")


@pytest.mark.parametrize("kind", losses.CANDIDATES)
def test_info_nce(kind):
    scores, targets = table(N, N * G), torch.arange(N) * G
    mask = losses.candidate_mask(N, G, kind)
    got = losses.info_nce(scores, targets, temperature=0.7, mask=mask)
    np.testing.assert_allclose(got, oracle.info_nce(scores.numpy(), targets.numpy(), 0.7, mask.numpy()))
    assert grads(lambda s: losses.info_nce(s, targets, temperature=0.7, mask=mask), scores)


def test_info_nce_is_the_one_of_sentence_transformers():
    from sentence_transformers.sparse_encoder.losses import SparseMultipleNegativesRankingLoss

    q, d = table(N, V).abs().float(), table(N, G, V, seed=1).abs().float()

    class Model:  # the loss reads nothing from it but a flag
        similarity_fn_name = "dot"

    reference = SparseMultipleNegativesRankingLoss(model=Model())
    theirs = reference.compute_loss_from_embeddings([q, *d.unbind(1)], None)
    # their candidates are stacked slot by slot: [all positives, all first negatives, ...]
    ours = losses.info_nce(losses.batch_scores(q, d), torch.arange(N) * G)
    torch.testing.assert_close(ours, theirs)


def test_pairwise():
    scores = table(N, G)
    np.testing.assert_allclose(losses.pairwise(scores), oracle.pairwise(scores.numpy()))
    mask = torch.ones(N, G, dtype=torch.bool)
    mask[1, 2] = False  # a query with fewer negatives than others counts with those it has
    costs = np.log1p(np.exp((scores[:, 1:] - scores[:, :1]).numpy()))
    want = costs[mask[:, 1:].numpy()].mean()
    np.testing.assert_allclose(losses.pairwise(scores, mask), want)
    assert grads(losses.pairwise, scores)


@pytest.mark.parametrize("pairs", ["first", "all"])
def test_margin_mse(pairs):
    s, t = table(N, G), table(N, G, seed=1)
    np.testing.assert_allclose(
        losses.margin_mse(s, t, pairs=pairs), oracle.margin_mse(s.numpy(), t.numpy(), pairs)
    )
    assert grads(lambda x: losses.margin_mse(x, t, pairs=pairs), s)


def test_margin_mse_is_the_one_of_sentence_transformers():
    from sentence_transformers.sparse_encoder.losses import SparseMarginMSELoss

    q, d, t = table(N, V), table(N, G, V, seed=1), table(N, G, seed=2)

    class Model:
        pass

    reference = SparseMarginMSELoss(model=Model())
    margins = (t[:, :1] - t[:, 1:]).float()
    theirs = reference.compute_loss_from_embeddings([q.float(), *d.float().unbind(1)], margins)
    torch.testing.assert_close(losses.margin_mse(torch.einsum("nv,ngv->ng", q, d), t).float(), theirs)


@pytest.mark.parametrize("pairs", ["first", "all"])
def test_margin_mse_leaves_missing_documents_out(pairs):
    """A query with fewer negatives than others weighs the same whatever pads its row."""
    s, t = table(2, 4), table(2, 4, seed=1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    filled = [torch.where(mask, x, torch.zeros_like(x)) for x in (s, t)]
    rows = [oracle.margin_mse(x[:1].numpy(), y[:1].numpy(), pairs) for x, y in ((s, t),)]
    short = oracle.margin_mse(s[1:, :2].numpy(), t[1:, :2].numpy(), pairs)
    n = {"first": 3, "all": 6}[pairs]
    np.testing.assert_allclose(
        losses.margin_mse(*filled, pairs=pairs, mask=mask), (n * rows[0] + short) / (n + 1)
    )


def test_margin_mse_unknown_pairs():
    with pytest.raises(InvalidInputError, match="'some' is not one of first, all"):
        losses.margin_mse(table(N, G), table(N, G), pairs="some")


def test_kl():
    s, t = table(N, 6), table(N, 6, seed=1)
    mask = torch.rand(N, 6, generator=torch.Generator().manual_seed(2)) > 0.3
    mask[:, 0] = True
    for m in (torch.ones_like(mask), mask):
        got = losses.kl_divergence(s, t, temperature=2.0, mask=m)
        np.testing.assert_allclose(got, oracle.kl(s.numpy(), t.numpy(), 2.0, m.numpy()))
    torch.testing.assert_close(
        losses.kl_divergence(s, t, temperature=2.0, rescale=True),
        4 * losses.kl_divergence(s, t, temperature=2.0),
    )
    assert losses.kl_divergence(t, t).item() == pytest.approx(0, abs=1e-12)
    assert grads(lambda x: losses.kl_divergence(x, t, temperature=2.0, mask=mask), s)
    assert losses.kl_divergence(s[:1], t[:1]).ndim == 0  # a batch of one: no squeeze of the wrong axis


def test_kl_is_the_one_of_sentence_transformers():
    from sentence_transformers.sparse_encoder.losses import SparseDistillKLDivLoss

    q, d, t = table(N, V).float(), table(N, G, V, seed=1).float(), table(N, G, seed=2).float()

    class Model:
        pass

    reference = SparseDistillKLDivLoss(model=Model(), temperature=2.0)
    theirs = reference.compute_loss_from_embeddings([q, *d.unbind(1)], t)
    ours = losses.kl_divergence(torch.einsum("nv,ngv->ng", q, d), t, temperature=2.0, rescale=True)
    torch.testing.assert_close(ours, theirs)


def test_ensemble():
    a, b = table(N, 6), 100 * table(N, 6, seed=1) + 7
    got = distillation.ensemble([a, b])
    np.testing.assert_allclose(got, oracle.ensemble([a.numpy(), b.numpy()], 30.0))
    assert got.min() >= 0 and got.max() <= 30
    weighted = distillation.ensemble([a, b], weights=[1, 0], scale=1.0)
    torch.testing.assert_close(weighted, distillation.min_max(a))
    for bad in ([], [a]):
        with pytest.raises(InvalidInputError, match="ensemble: "):
            distillation.ensemble(bad, weights=[1, 1])


def test_min_max_ignores_what_the_mask_excludes():
    a = torch.tensor([[1.0, 3.0, 100.0]])
    got = distillation.min_max(a, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(got, torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-5, rtol=0)
    assert torch.isfinite(distillation.min_max(torch.ones(2, 3))).all()


def test_self_distillation_teaches_the_student_only():
    s, t = table(N, 6).requires_grad_(), table(N, 6, seed=1).requires_grad_()
    distillation.self_distillation(s, t).backward()
    assert s.grad is not None and t.grad is None


def test_moving_average():
    slow, fast = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    want = 0.9 * slow.weight.detach() + 0.1 * fast.weight.detach()
    distillation.moving_average(slow, fast, 0.9)
    torch.testing.assert_close(slow.weight.detach(), want)
    with pytest.raises(InvalidInputError, match=r"decay must lie in \[0, 1\), got 1"):
        distillation.moving_average(slow, fast, 1.0)


def test_term_loss_reaches_terms_below_zero():
    idf = torch.rand(9, dtype=torch.float64) * 8
    logits = torch.full((2, 9), -4.0, dtype=torch.float64, requires_grad=True)
    targets = torch.zeros(2, 9, dtype=torch.float64)
    targets[0, 5] = 1.0
    loss = losses.term_loss(logits, targets, idf)
    loss.backward()
    assert logits.grad[0, 5] < 0  # gradient descent raises it
    assert not logits.grad[1].any()
    assert logits.grad.count_nonzero() == 1


def test_term_loss_by_hand():
    logits = torch.tensor([[math.e - 1, math.e**3 - 1, -2.0, 0.5]], dtype=torch.float64)
    targets = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    idf = torch.tensor([5.0, 10.0, 5.0, 0.0], dtype=torch.float64)
    over = 2 * 1.5 * 3 - 1.5**2  # log1p is 3: beyond the knee
    wanted = 1.0 + 0.3 * 4 * over + 0.3 * 0.05 * math.log1p(0.5) ** 2
    assert float(losses.term_loss(logits, targets, idf)) == pytest.approx(wanted)


def test_term_loss_gradients():
    torch.manual_seed(3)
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.relu(torch.randn(3, 6, dtype=torch.float64))
    idf = torch.rand(6, dtype=torch.float64) * 8
    assert torch.autograd.gradcheck(lambda z: losses.term_loss(z, targets, idf), (logits,))


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_sparsemax(scale):
    x = scale * torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    out = sparsemax(x)
    for row, got in zip(x.numpy(), out.numpy(), strict=True):
        np.testing.assert_allclose(got, oracle.sparsemax(row), atol=1e-9)
    np.testing.assert_allclose(out.sum(-1), 1.0)
    assert torch.autograd.gradcheck(sparsemax, x.clone().requires_grad_())


def test_sparsemax_loss_is_zero_where_the_student_says_what_the_teacher_says():
    g = torch.Generator().manual_seed(3)
    scores = torch.randn(6, 5, dtype=torch.float64, generator=g) * 20
    assert float(losses.sparsemax_loss(scores, scores + 7, temperature=4.0)) == pytest.approx(0, abs=1e-12)
    # so are the students that differ only in what neither of them gives a share
    far = torch.tensor([[9.0, 8.5, -20.0, -30.0]], dtype=torch.float64)
    other = torch.tensor([[9.0, 8.5, -500.0, 0.0]], dtype=torch.float64)
    assert float(losses.sparsemax_loss(other, far)) == pytest.approx(0, abs=1e-12)
    assert float(losses.kl_divergence(other, far)) > 1e-9


def test_sparsemax_loss_and_its_gradient():
    g = torch.Generator().manual_seed(4)
    z = torch.randn(4, 6, dtype=torch.float64, generator=g).requires_grad_()
    teacher = torch.randn(4, 6, dtype=torch.float64, generator=g)
    q = sparsemax(teacher)
    loss = losses.sparsemax_loss(z, teacher)
    (gradient,) = torch.autograd.grad(loss * len(z), z)
    torch.testing.assert_close(gradient, sparsemax(z.detach()) - q)
    assert torch.autograd.gradcheck(lambda v: losses.sparsemax_loss(v, teacher), z)


def test_sparsemax_loss_by_hand_and_what_the_mask_excludes():
    # z = (2, 1.5, 0): sparsemax (.75, .25, 0), tau 1.25; q = (1, 0, 0)
    z, teacher = torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([[5.0, 1.0, 0.0]])
    want = -2 + ((4 - 1.5625) + (2.25 - 1.5625)) / 2 + 0.5
    assert float(losses.sparsemax_loss(z, teacher)) == pytest.approx(want)
    assert float(losses.sparsemax_loss(z * 3, teacher * 3, temperature=3.0)) == pytest.approx(want)
    wide = torch.tensor([[2.0, 1.5, 0.0, 99.0]]), torch.tensor([[5.0, 1.0, 0.0, 99.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert float(losses.sparsemax_loss(*wide, mask=mask)) == pytest.approx(want)
