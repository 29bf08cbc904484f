"""Sparsemax: the Euclidean projection onto the simplex (Martins and Astudillo, arXiv 1602.02068).

Unlike softmax it is exactly zero outside its support, so it can make a vector sparse by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sparsemax(x: Tensor) -> Tensor:
    """Euclidean projection of each row onto the probability simplex.

    z sorted downwards, k = max{k : 1 + k z_k > sum_{j<=k} z_j}, tau = (sum_{j<=k} z_j - 1) / k,
    out = max(z - tau, 0). float[..., M] -> float[..., M], rows sum to 1.
    """
    return F.relu(x - sparsemax_threshold(x))


def sparsemax_threshold(x: Tensor) -> Tensor:
    """The threshold tau of `sparsemax`, float[..., 1]."""
    z, _ = x.sort(dim=-1, descending=True)
    rank = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=x.dtype)
    cumulated = z.cumsum(-1)
    # at least one is, unless there is NaN, which has to come out as NaN
    k = (1 + rank * z > cumulated).sum(-1, keepdim=True).clamp(min=1)
    return (cumulated.gather(-1, k - 1) - 1) / k


def within_mass(weights: Tensor, mass: float) -> Tensor:
    """The vectors nearest to `weights` whose entries sum to at most `mass`: `mass * sparsemax(w / mass)`.

    All entries of a row are lowered by the same amount and those that fall below zero are dropped, so a text
    that says many things a little keeps fewer of them. A row that sums to less than `mass` stays as it is,
    where sparsemax would raise it. float[..., M] not negative -> float[..., M]; `mass` is above 0.
    """
    if not weights.shape[-1]:
        return weights
    tau = mass * sparsemax_threshold(weights / mass)
    return F.relu(weights - tau.clamp(min=0))
