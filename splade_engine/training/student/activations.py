"""From pooled logits to term weights: activations and k-sparse selection.

`log1p_relu` and `log1p_log1p_relu` are the two that published sparse encoders use; both are monotone and zero
at or below zero, so they may follow max pooling. `sparsemax` looks at a whole text, so it has to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from splade_engine.encoder.fast.simplex import within_mass
from splade_engine.errors import InvalidInputError

ACTIVATIONS = ("log1p_relu", "log1p_log1p_relu", "relu", "relu_gelu", "sparsemax")


GELU_FLOOR = -3.0  # below it gelu's gradient is under .012


def floor_of(name: str) -> float:
    """The smallest logit at which the activation has a gradient worth keeping."""
    return GELU_FLOOR if name == "relu_gelu" else 0.0


def activate(x: Tensor, name: str, mass: float = 30.0) -> Tensor:
    """Apply one of `ACTIVATIONS` to float[..., V]; the shape stays.

    - `log1p_relu`: log(1 + relu(x)), SPLADE (arXiv 2107.05720).
    - `log1p_log1p_relu`: log(1 + log(1 + relu(x))), the l0 activation (arXiv 2504.14839): it flattens the
      range of the weights, so that FLOPS acts more like counting.
    - `relu`: non-negative contrastive learning (arXiv 2403.12459).
    - `relu_gelu`: relu forward, the gradient of gelu backward, against dying units (same paper's code).
    - `sparsemax`: log(1 + relu(x)), projected so that a text's weights sum to at most `mass` (arXiv
      1602.02068): one threshold for the whole text, below which terms are exactly zero.
    """
    if name == "log1p_relu":
        return torch.log1p(F.relu(x))
    if name == "log1p_log1p_relu":
        return torch.log1p(torch.log1p(F.relu(x)))
    if name == "relu":
        return F.relu(x)
    if name == "relu_gelu":
        soft = F.gelu(x)
        return soft - soft.detach() + F.relu(x).detach()
    if name == "sparsemax":
        return within_mass(torch.log1p(F.relu(x)), mass)
    raise InvalidInputError(f"activation {name!r} is not one of {', '.join(ACTIVATIONS)}")


def keep_top_k(weights: Tensor, k: int) -> Tensor:
    """Zero all but the k largest entries of each row; the kept ones pass the gradient.

    k-sparse autoencoders (arXiv 1312.5663) and SPLADE's top-k pooling. Of equal entries at the cut
    torch.topk chooses. float[..., V] -> float[..., V]; k at or above V changes nothing.
    """
    if k < 1:
        raise InvalidInputError(f"keep_top_k: k must be at least 1, got {k}")
    if k >= weights.shape[-1]:
        return weights
    values, places = weights.topk(k, dim=-1)
    return torch.zeros_like(weights).scatter(-1, places, values)
