"""What makes the vectors rank: contrastive and distillation losses over score tables, each a pure function.

N queries with G documents each; document 0 of a query is its positive, the others are its hard negatives.
Scores are dot products, with no normalisation: sparse scores are large (20 to 40), so temperatures differ
from dense ones. All losses are means over queries.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from splade_engine.encoder.fast.simplex import sparsemax, sparsemax_threshold
from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.parts.contrastive import Candidates

CANDIDATES = get_args(Candidates)


def batch_scores(queries: Tensor, documents: Tensor) -> Tensor:
    """Every query against every document of the batch: float[N, V] x float[N, G, V] -> float[N, N * G].

    Column i * G + g is document g of query i.
    """
    return queries @ documents.flatten(0, 1).T


def candidate_mask(n: int, group: int, candidates: Candidates, device: torch.device | None = None) -> Tensor:
    """Which columns of `batch_scores` compete with a query's own positive: bool[n, n * group].

    - `all`: every document of the batch (sentence-transformers' SparseMultipleNegativesRankingLoss).
    - `positives`: the positives of the other queries.
    - `own`: the query's own hard negatives.
    - `own_and_positives`: both (naver/splade's in-batch pairwise NLL, SPLADE arXiv 2107.05720).
    - `negatives`: hard negatives of the whole batch, no other query's positive (code of arXiv 2411.04403).

    The own positive is always among them.
    """
    row = torch.arange(n, device=device)
    column = torch.arange(n * group, device=device)
    own = row[:, None] == (column // group)[None, :]
    positive = (column % group == 0)[None, :].expand(n, -1)
    if candidates == "all":
        return torch.ones_like(own)
    if candidates == "positives":
        return positive.clone()
    if candidates == "own":
        return own
    if candidates == "own_and_positives":
        return own | positive
    if candidates == "negatives":
        return ~positive | (own & positive)
    raise InvalidInputError(f"candidates {candidates!r} is not one of {', '.join(CANDIDATES)}")


def info_nce(
    scores: Tensor, targets: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """InfoNCE: `-log softmax(scores / temperature)[target]` (arXiv 1807.03748; SPLADE eq. 3).

    Args:
        scores: float[N, M].
        targets: int64[N], the column of each query's positive.
        temperature: divides the scores; SPLADE and sentence-transformers' sparse loss use 1.
        mask: bool[N, M], True for the candidates that take part (`candidate_mask`); None: all.
    """
    logits = scores / temperature
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return F.cross_entropy(logits, targets)


def pairwise(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pairwise negative log-likelihood `-log softmax([s+, s-])_0`, mean over negatives (naver/splade).

    Args:
        scores: float[N, G], the positive first, G >= 2.
        mask: bool[N, G], True for the documents that are there, at least one negative among them; None: all.
    """
    costs = F.softplus(scores[:, 1:] - scores[:, :1])
    return costs.mean() if mask is None or mask.all() else costs[mask[:, 1:]].mean()


def margin_mse(
    scores: Tensor,
    teacher: Tensor,
    *,
    pairs: Literal["first", "all"] = "first",
    mask: Tensor | None = None,
) -> Tensor:
    """MarginMSE: `mean(((s_a - s_b) - (t_a - t_b))^2)` (arXiv 2010.02666).

    Args:
        scores: float[N, G] of the student, the positive first.
        teacher: float[N, G] of the teacher, same documents.
        pairs: `first` takes the pairs (positive, negative); `all` every pair a < b of a query's documents
            (naver/splade's HF trainer).
        mask: bool[N, G], True for the documents that are there; a pair with a missing one says nothing. None:
            all are.
    """
    if pairs == "first":
        a = torch.zeros(scores.shape[1] - 1, dtype=torch.int64, device=scores.device)
        b = torch.arange(1, scores.shape[1], device=scores.device)
    elif pairs == "all":
        a, b = torch.triu_indices(scores.shape[1], scores.shape[1], offset=1, device=scores.device)
    else:
        raise InvalidInputError(f"pairs {pairs!r} is not one of first, all")
    student, target = scores[:, a] - scores[:, b], teacher[:, a] - teacher[:, b]
    if mask is None or mask.all():
        return F.mse_loss(student, target)
    there = mask[:, a] & mask[:, b]
    return F.mse_loss(student[there], target[there])


def kl_divergence(
    scores: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 1.0,
    rescale: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """`sum_k p_k (log p_k - log softmax(scores / tau)_k)`, p = softmax(teacher / tau), mean over queries.

    Args:
        scores: float[N, M] of the student.
        teacher: float[N, M], same candidates.
        temperature: tau, divides both.
        rescale: multiply by tau^2 (Hinton et al., arXiv 1503.02531; sentence-transformers). Off as in
            the code of arXiv 2411.04403.
        mask: bool[N, M], True for the candidates that take part; None: all.
    """
    student, target = scores / temperature, teacher / temperature
    if mask is not None:
        # a large negative number and not -inf: 0 * (-inf - -inf) would be NaN
        lowest = torch.finfo(student.dtype).min / 4
        student, target = student.masked_fill(~mask, lowest), target.masked_fill(~mask, lowest)
    log_p, log_q = F.log_softmax(target, -1), F.log_softmax(student, -1)
    loss = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    return loss * temperature**2 if rescale else loss


def sparsemax_loss(
    scores: Tensor, teacher: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """`-q . z + sum_{j in S(z)} (z_j^2 - tau^2) / 2 + q . q / 2`, mean over queries.

    arXiv 1602.02068, eq. 15, with z = scores / temperature and q = sparsemax(teacher / temperature); S(z) and
    tau are those of sparsemax(z). Zero where sparsemax(z) = q, never below; its gradient is sparsemax(z) - q,
    so it is bounded, and candidates that both place far below the best one take no part.

    Args:
        scores: float[N, M] of the student.
        teacher: float[N, M], same candidates.
        temperature: divides both; sparsemax gives nothing to what lies more than 1 below the best.
        mask: bool[N, M], True for the candidates that take part; None: all.
    """
    student, target = scores / temperature, teacher / temperature
    # only differences count; from the best one down, so that large scores do not cost precision
    lowest = -1e4
    if mask is not None:
        student, target = student.masked_fill(~mask, -torch.inf), target.masked_fill(~mask, -torch.inf)
    student = (student - student.amax(-1, keepdim=True).detach()).clamp(min=lowest)
    target = (target - target.amax(-1, keepdim=True)).clamp(min=lowest)
    q = sparsemax(target)
    tau = sparsemax_threshold(student)
    inside = student > tau
    conjugate = ((student.square() - tau.square()) * inside).sum(-1) / 2
    loss: Tensor = conjugate - (q * student).sum(-1) + q.square().sum(-1) / 2
    return loss.mean()


TYPICAL_IDF = 5.0
"""The weight of a query token whose terms count once in `term_loss`."""


def term_loss(
    logits: Tensor, targets: Tensor, idf: Tensor, *, surplus: float = 0.3, knee: float = 1.5
) -> Tensor:
    """Distance of document weights from `TermTeacher`'s targets, in units of query score.

        sum_t (idf_t / 5)^2 * ( [y_t > 0] H(f(z_t) - y_t) + surplus [y_t = 0] H(f(z_t)) )

    with f(z) = log1p(z) above zero and H(e) = e^2, linear beyond `knee` (Huber). Below zero f(z) = z where a
    target asks for the term: relu's gradient is zero there and the term would never come to life. Elsewhere
    f(z) = 0. Huber, not a clipped square: with the square cut at 9 the terms that were furthest off got no
    gradient, and of an aligned head 43 % of a document's own tokens start below zero.

    Args:
        logits: float[B, V], pooled, before relu.
        targets: float[B, V].
        idf: float[V].
        surplus: weight of terms without a target: below 1 leaves room for expansion.
        knee: see above.

    Returns:
        A scalar: the mean over documents.
    """
    wanted = targets > 0
    reached = torch.where(wanted & (logits <= 0), logits, torch.log1p(torch.relu(logits)))
    gap = (reached - targets).abs()
    cost = torch.where(gap < knee, gap**2, 2 * knee * gap - knee**2)
    importance = ((idf / TYPICAL_IDF) ** 2).clamp(min=0.05)
    share = torch.where(wanted, 1.0, surplus)
    return (cost * share * importance).sum() / max(1, len(logits))
