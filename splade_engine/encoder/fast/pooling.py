"""`VocabularyPooling`: token states to term weights, without ever holding tokens x vocabulary.

For max pooling, log1p and relu are monotone, so pooling the raw logits first and activating V numbers
afterwards gives the same result as the other order, for the price of one activation per term instead of one
per token and term (Formal et al., SPLADE v2, section 3.1). For sum pooling the activation has to come first;
then it is done chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splade_engine.encoder.fast.simplex import within_mass

if TYPE_CHECKING:
    from splade_engine.encoder.settings import EncoderSettings

# Columns of the vocabulary per product. At 256 tokens a chunk of logits in bfloat16 is 2 MB: it is reduced
# while it is still in the last-level cache.
_CHUNK = 4096


class VocabularyPooling:
    """Projects token states on the vocabulary and pools them per text.

    Args:
        weight: float[V, H], the decoder.
        bias: float[V].
        settings: pooling over the tokens of a text, and activation.
        dropped: int64[...], terms that are zero in every vector (special tokens).
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        settings: EncoderSettings,
        dropped: Tensor | None = None,
    ) -> None:
        self.weight = weight.detach()
        self.bias = bias.detach().to(weight.dtype)
        self.settings = settings
        self.dropped = dropped

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return int(self.weight.shape[0])

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """Term weights float32[B, V] of packed states float[T, H]; `lengths` sum up to T, none is 0."""
        out = states.new_empty((len(lengths), self.n_terms), dtype=torch.float32)
        for a in range(0, self.n_terms, _CHUNK):
            weight, bias = self.weight[a : a + _CHUNK], self.bias[a : a + _CHUNK]
            start = 0
            for row, length in enumerate(lengths):
                logits = torch.addmm(bias, states[start : start + length], weight.T)
                if self.settings.pooling == "max":
                    out[row, a : a + _CHUNK] = logits.amax(dim=0)
                else:
                    out[row, a : a + _CHUNK] = activate_(logits.float(), self.settings).sum(dim=0)
                start += length
        if self.dropped is not None:
            out[:, self.dropped] = 0
        return activate_(out, self.settings) if self.settings.pooling == "max" else out


def activate_(values: Tensor, settings: EncoderSettings) -> Tensor:
    """The activation of float32[..., V], each row a text; done in place where it can be."""
    values.relu_()
    if settings.activation != "relu":
        values.log1p_()
    if settings.activation == "log1p_log1p_relu":
        values.log1p_()
    return within_mass(values, settings.sparsemax_mass) if settings.activation == "sparsemax" else values


def mean_states(hidden: Tensor, lengths: Sequence[int]) -> Tensor:
    """float32[B, H]: the mean state of each text, of the states of all one after the other, float[T, H]."""
    counts = torch.tensor(lengths)
    owners = torch.repeat_interleave(torch.arange(len(counts)), counts).to(hidden.device)
    sums = torch.zeros((len(counts), hidden.shape[1]), device=hidden.device)  # no segment_reduce on MPS
    return sums.index_add_(0, owners, hidden.float()) / counts.to(hidden.device)[:, None]


def pooled(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """One vector per text: dtype[B, L, H] and int64[B, L] (padded on the right) to dtype[B, H]."""
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
    if mode == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
    count = mask.sum(1, keepdim=True).to(torch.float32)
    total = (hidden * mask.unsqueeze(-1)).sum(1, dtype=torch.float32)
    return (total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)).to(hidden.dtype)
