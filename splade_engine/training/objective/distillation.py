"""Teacher scores: several teachers made comparable, and the model as its own teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.losses import kl_divergence


def min_max(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Per query `(s - min s) / (max s - min s)`: the worst candidate gets 0, the best 1 (arXiv 2411.04403).

    Its code adds 1e-6 to the divisor; here candidates that are all equal get 0 instead, so that scores that
    lie close together span the whole range too.

    Args:
        scores: float[N, M], one teacher's scores of each query's candidates.
        mask: bool[N, M], True for the candidates that count; the others get 0. None: all.
    """
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    low = scores.masked_fill(~mask, torch.inf).amin(-1, keepdim=True)
    high = scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True)
    span = (high - low).masked_fill(~(high > low), torch.inf)
    return ((scores - low) / span).masked_fill(~mask, 0.0)


def ensemble(
    teachers: Sequence[Tensor],
    *,
    scale: float = 30.0,
    weights: Sequence[float] | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Heterogeneous ensemble: `scale * mean_k min_max(s_k)` (arXiv 2411.04403; scale 30 in its code).

    Dense cosines, sparse dot products and BM25 scores live on different scales; min-max per query makes them
    comparable, and `scale` sharpens the softmax that KL takes of the result.

    Args:
        teachers: K tables float[N, M] over the same candidates.
        scale: the range of the result where the teachers agree on the best and the worst candidate: 30 in
            fine-tuning, 10 in the paper's pre-training. Where they do not, the mean spans less.
        weights: K numbers at or above zero, normalised to sum 1; None: equal, as published.
        mask: bool[N, M], True for the candidates that count.
    """
    if not teachers:
        raise InvalidInputError("ensemble: no teacher given")
    shares = [1.0] * len(teachers) if weights is None else [float(w) for w in weights]
    if len(shares) != len(teachers) or min(shares) < 0 or sum(shares) <= 0:
        raise InvalidInputError(f"ensemble: {len(teachers)} teachers need as many weights >= 0, got {shares}")
    total = sum(shares)
    mean = torch.zeros_like(teachers[0])
    for scores, share in zip(teachers, shares, strict=True):
        mean = mean + min_max(scores, mask) * (share / total)
    return scale * mean


def self_distillation(
    scores: Tensor, teacher: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """KL towards the model's own, slower scores, which carry no gradient.

    They are those of its moving average (`moving_average`) or of an earlier checkpoint. Mean teacher: arXiv
    1703.01780; for retrieval the same idea as BGE-M3's self-knowledge distillation (arXiv 2402.03216).

    Args:
        scores: float[N, M] of the student.
        teacher: float[N, M] of the average model, same candidates.
        temperature: as in `kl_divergence`.
        mask: as in `kl_divergence`.
    """
    return kl_divergence(scores, teacher.detach(), temperature=temperature, mask=mask)


@torch.no_grad()
def moving_average(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """In place: `teacher = decay * teacher + (1 - decay) * student` for each parameter (arXiv 1703.01780)."""
    if not 0 <= decay < 1:
        raise InvalidInputError(f"moving_average: decay must lie in [0, 1), got {decay}")
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast.to(slow.dtype), 1 - decay)
