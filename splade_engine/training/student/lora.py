"""Low-rank adaptation: the frozen weight plus a trained product of two thin matrices.

Hu et al., arXiv 2106.09685.

    y = x W^T + b + (alpha / rank) * dropout(x) A^T B^T,    A (rank x in) random, B (out x rank) zero at the
    start

For billion-parameter bases (Mistral-SPLADE trains rank 16, arXiv 2408.11119). The updates are merged into the
weights when the model is saved, so that a trained folder needs nothing of this.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splade_engine.errors import InvalidInputError


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained low-rank update."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        base.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """float[..., in] to float[..., out]."""
        update: Tensor = F.linear(F.linear(self.dropout(x), self.down), self.up)
        out: Tensor = self.base(x)
        return out + self.scale * update

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer with the update added to its weight, in place."""
        self.base.weight += self.scale * (self.up @ self.down)
        return self.base


def add_lora(model: nn.Module, body: nn.Module, rank: int, alpha: float, dropout: float) -> int:
    """Freeze `model` and give every linear layer inside `body` an update; returns how many.

    Raises:
        InvalidInputError: if there is no linear layer to adapt.
    """
    model.requires_grad_(False)
    found = [
        (parent, name, child)
        for parent in body.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    if not found:
        raise InvalidInputError("lora_rank: the model has no linear layer to adapt")
    for parent, name, child in found:
        setattr(parent, name, LoraLinear(child, rank, alpha, dropout))
    return len(found)


def merge_lora(model: nn.Module) -> None:
    """Put every update into its weight, in place; afterwards no `LoraLinear` is left."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())
