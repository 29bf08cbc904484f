"""What keeps the vectors sparse: penalties on term weights, each a pure function.

Everywhere `weights` are non-negative term weights, float[N, V] (N texts) or float[N, G, V] (N queries with G
documents, "slots", each); results are scalars. A lambda only carries over from a publication together with
its reduction: `per_slot` is about G times `flat` (arXiv 2411.04403's code against SPLADE's).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.penalties.penalty import Reduction


def flops(
    weights: Tensor,
    *,
    reduction: Reduction,
    threshold: int | None = None,
    tail: bool = False,
    term_factors: Tensor | None = None,
) -> Tensor:
    """FLOPS: `sum_j (mean_i |w_ij|)^2` (Paria et al., arXiv 2004.05665; SPLADE, arXiv 2107.05720).

    The expected number of multiplications of a random pair, relaxed; the square of a mean also balances the
    lengths of the posting lists, which L1 does not.

    Args:
        weights: float[N, V] or float[N, G, V].
        reduction: `flat` takes the mean over all N * G texts (SPLADE, sentence-transformers); `per_slot` the
            mean over the N queries for each slot, then sums over slots (code of arXiv 2411.04403 and
            2504.14839).
        threshold: the l0 mask: texts with at most this many active terms are left alone, the mean still
            divides by all texts (arXiv 2504.14839). None: no mask.
        tail: of a text over the threshold, charge only what comes after its `threshold` heaviest terms, and
            not the whole text: what is to stay is not shrunk.
        term_factors: float[V], multiplies each term's mean: `idf_factors` or `df_factors` (DF-FLOPS). None:
            1.
    """
    weights = weights.abs()
    if threshold is not None and tail:
        weights = tail_of(weights, threshold)
    elif threshold is not None:
        weights = weights * over_threshold(weights, threshold).unsqueeze(-1)
    means = _means(weights, reduction)
    if term_factors is not None:
        means = means * term_factors
    return means.square().sum()


def over_threshold(weights: Tensor, threshold: int) -> Tensor:
    """Of float[..., V]: 1.0 where a text has more than `threshold` active terms, else 0.0, float[...]."""
    return ((weights != 0).sum(-1) > threshold).to(weights.dtype)


def tail_of(weights: Tensor, k: int) -> Tensor:
    """Without the k heaviest terms of each text, float[..., V]; the gradient reaches the rest alone.

    What weighs as much as the lightest of the k counts as one of them.
    """
    if k >= weights.shape[-1]:
        return torch.zeros_like(weights)
    lightest = weights.detach().topk(k, dim=-1).values[..., -1:]
    return weights * (weights.detach() < lightest)


def l1(weights: Tensor) -> Tensor:
    """`mean_i sum_j |w_ij|`: the query regulariser of Efficient SPLADE (arXiv 2207.03834)."""
    return weights.abs().sum(-1).mean()


def l0(weights: Tensor) -> Tensor:
    """`mean_i ||w_i||_0`: active terms a text. No gradient: for monitoring."""
    return (weights.detach() != 0).sum(-1).to(torch.get_default_dtype()).mean()


def idf_factors(idf: Tensor, typical: float = 5.0, least: float = 1.0) -> Tensor:
    """The term factors of an IDF-aware penalty: `typical / max(idf, least)`, float[V].

    A query scores `sum_t idf_t d_t`, so a ranking loss pulls on d_t with idf_t. The gradient of plain FLOPS
    on d_t does not know idf, so that at rest d_t is proportional to idf_t u_t (u: what the term is worth to
    the ranking), and rare terms outlast common ones a little. Means *multiplied* by idf, as the first
    abstract of arXiv 2411.04403 reads, are charged idf_t^2: at rest idf_t d_t is proportional to u_t, which
    is what no idf at all would give, and a term of idf 5 is charged 25 times one of idf 1. Divided by idf,
    d_t is proportional to idf_t^3 u_t: what is cheap to score and finds little goes first.

    Args:
        idf: float[V], a query table.
        typical: the idf at which the charge is that of plain FLOPS; 5 is a term in 1 of 150 documents.
        least: lower ones count as this, so that the factor is bounded.
    """
    return typical / idf.clamp(min=least)


def df_factors(df_share: Tensor, half: float = 0.1, steepness: float = 10.0) -> Tensor:
    """The term factors of DF-FLOPS (arXiv 2505.15070): `1 / (1 + (x^(log_half 2) - 1)^steepness)`.

    0 for terms that no document holds, 1/2 at a document frequency of `half`, 1 for terms in every document:
    long posting lists, which cost an engine most, are penalised hardest. Use as `flops(...,
    term_factors=...)`.

    Args:
        df_share: float[V] in [0, 1], the share of documents in which a term is active.
        half: the share at which the factor is 1/2, in (0, 1). 0.1 and 10 are this library's choice.
        steepness: how sharply it rises there, above 0.
    """
    if not 0 < half < 1:
        raise InvalidInputError(f"df_factors: half must lie between 0 and 1, got {half}")
    x = df_share.clamp(min=torch.finfo(df_share.dtype).tiny, max=1.0)
    # x^(log_half 2) is huge for rare terms: its overflow to inf gives the factor 0 that the formula tends to
    rise = (x.pow(math.log(2) / math.log(half)) - 1).clamp(min=0)
    return 1 / (1 + rise.pow(steepness))


def joint_flops(queries: Tensor, documents: Tensor) -> Tensor:
    """`sum_j mean_i |q_ij| * mean_k |d_kj|`: the expected multiplications of a query with a document.

    Args:
        queries: float[N, V].
        documents: float[M, V] or float[N, G, V].
    """
    return (_means(queries.abs(), "flat") * _means(documents.abs(), "flat")).sum()


def anti_collapse(queries: Tensor | None, documents: Tensor) -> Tensor:
    """`1 / (sum q)^2 + 1 / (sum d)^2` over the whole batch: infinite at all-zero vectors.

    As in naver/splade's HF trainer.

    `queries` is None where queries need no encoder: their sum is a constant then.
    """
    loss = documents.sum().square().clamp(min=1e-12).reciprocal()
    if queries is not None:
        loss = loss + queries.sum().square().clamp(min=1e-12).reciprocal()
    return loss


def flops_metric(query_active: Tensor, document_active: Tensor) -> Tensor:
    """The FLOPS that papers report: `sum_j p_q(j) p_d(j)`, p = share of texts in which term j is active.

    Args:
        query_active: float[V], the share of queries in which each term is active.
        document_active: float[V], the same of documents.
    """
    return (query_active * document_active).sum()


def _means(weights: Tensor, reduction: Reduction) -> Tensor:
    """float[V] (`flat`) or float[G, V] (`per_slot`)."""
    if reduction == "flat":
        return weights.flatten(0, -2).mean(0)
    if reduction == "per_slot":
        if weights.ndim != 3:
            raise InvalidInputError(f"per_slot needs weights of shape (N, G, V), got {tuple(weights.shape)}")
        return weights.mean(0)
    raise InvalidInputError(f"reduction {reduction!r} is not one of flat, per_slot")
