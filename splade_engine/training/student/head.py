"""The SPLADE head: vocabulary projection and pooling over tokens, a chunk of the vocabulary at a time.

A dense head materialises B x L x V logits (32 x 128 x 30,522 floats are 500 MB), several times over once
autograd keeps the activations. Max pooling needs none of that: the gradient of `max_i h_ij` reaches one token
i for each term j, and only where the maximum is above zero, because relu follows. So the forward pass keeps a
chunk of the vocabulary at a time, pools it and drops it, and the backward pass visits the active (argmax
token, term) pairs alone: a few hundred per document instead of L x V.

Gradients flow to the hidden states, to the decoder weight (usually tied to the input embeddings) and to the
bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from splade_engine.training.student.cpu_layers import product

CPU_LOGITS = 1 << 24  # logits held at a time on a CPU: 64 MB; smaller products do not keep two cores busy
DEVICE_LOGITS = 1 << 28  # logits held at a time on an accelerator, whole batch at once (1 GB in float32)
SUM_CHUNK = 1024  # terms at a time for sum pooling, whose chunk holds the logits of the whole batch


def max_pool(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    wanted: Tensor | None = None,
    floor: float = 0.0,
) -> Tensor:
    """`relu(max_i h_ij)` over the tokens i of each text, with a sparse backward pass.

    Here h = hidden @ weight.T + bias.

    log1p and relu are monotone, so pooling before the activation equals SPLADE-max's pooling after it
    (SPLADE v2, arXiv 2109.10086); apply `activations.activate` to the result. Of equal maxima the first
    token receives the whole gradient. Under autocast the projection runs in the autocast type, the result is
    float32 so that the regularisers sum in full precision.

    Args:
        hidden: float[B, L, H], the output of the masked-LM head's transform.
        weight: float[V, H], the decoder.
        bias: float[V] or None.
        mask: bool or integer [B, L]; texts may be padded anywhere; a text without tokens gets zeros.
        wanted: bool[B, V], terms that keep their maximum and its gradient below zero too: for a loss that
            brings terms to life (`lexical.term_loss`), where relu would have no gradient. None: no term.
        floor: maxima above it are kept with their gradient; below zero for an activation that has a gradient
            there (`relu_gelu`).

    Returns:
        float[B, V], zero where no token's logit is above the floor (unless wanted).
    """
    hidden, weight = _autocast(hidden), _autocast(weight)
    with torch.autocast(hidden.device.type, enabled=False):
        pooled: Tensor = _MaxPool.apply(hidden, weight, bias, mask.bool(), wanted, floor)  # type: ignore[no-untyped-call]
    return pooled


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        mask: Tensor,
        wanted: Tensor | None,
        floor: float,
    ) -> Tensor:
        track = any(ctx.needs_input_grad)
        pool = _pool_by_document if hidden.device.type == "cpu" else _pool_by_chunk
        pooled, document, token, term = pool(hidden, weight, bias, mask, wanted, floor, track)
        ctx.save_for_backward(hidden, weight, document, token, term)
        ctx.bias_dtype = None if bias is None else bias.dtype
        return pooled

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, document, token, term = ctx.saved_tensors
        batch, length, width = hidden.shape
        g = grad[document, term]
        live = g.nonzero().squeeze(1)  # k-sparse losses send exact zeros to most pairs
        g, row, term = g[live], (document * length + token)[live], term[live]
        grad_hidden = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_hidden = _gather_sum(row, term, g, weight, batch * length).view(batch, length, width)
        if ctx.needs_input_grad[1]:
            grad_weight = _gather_sum(term, row, g, hidden.reshape(-1, width), len(weight))
        if ctx.needs_input_grad[2]:
            grad_bias = g.new_zeros(len(weight)).scatter_add_(0, term, g).to(ctx.bias_dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _pool_by_document(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    wanted: Tensor | None,
    floor: float,
    track: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The forward pass on the CPU.

    No padding is computed, several documents share a product, and argmax (30 times slower than amax) sees the
    active columns only.
    """
    batch, n_terms = len(hidden), len(weight)
    pooled = torch.zeros((batch, n_terms), dtype=_wide(hidden.dtype))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    places = [row.nonzero().squeeze(1) for row in mask]
    lengths = [len(p) for p in places]
    for block, first, last in _blocks(lengths, n_terms):
        rows = torch.cat(
            [hidden[b] if lengths[b] == hidden.shape[1] else hidden[b, places[b]] for b in block]
        )
        logits = product(rows, weight[first:last])
        start = 0
        for b in block:
            own = logits[start : start + lengths[b]]
            start += lengths[b]
            best = own.amax(0).to(pooled.dtype)
            if bias is not None:  # the same for every token: added once, after the maximum
                best = best + bias[first:last]
            active = best > floor
            if wanted is not None:
                active |= wanted[b, first:last]
            pooled[b, first:last] = best * active
            if track:
                terms = active.nonzero().squeeze(1)
                token = places[b][own[:, terms].argmax(0)]
                found.append((torch.full_like(terms, b), token, terms + first))
    if not found:
        none = torch.zeros(0, dtype=torch.int64)
        return pooled, none, none, none
    document, token, term = (torch.cat(parts) for parts in zip(*found, strict=True))
    return pooled, document, token, term


def _blocks(lengths: Sequence[int], n_terms: int) -> Iterator[tuple[list[int], int, int]]:
    """The products to compute, (documents, first term, last term), at most `CPU_LOGITS` logits each.

    Documents go together where they fit, a long one over slices of the vocabulary.
    """
    block: list[int] = []
    held = 0
    for b, length in enumerate(lengths):
        if not length:
            continue
        if block and (held + length) * n_terms > CPU_LOGITS:
            yield block, 0, n_terms
            block, held = [], 0
        if length * n_terms > CPU_LOGITS:
            step = max(1, CPU_LOGITS // length)
            for first in range(0, n_terms, step):
                yield [b], first, min(first + step, n_terms)
            continue
        block.append(b)
        held += length
    if block:
        yield block, 0, n_terms


def _pool_by_chunk(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    wanted: Tensor | None,
    floor: float,
    track: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On an accelerator: the whole batch at once, as many terms as `DEVICE_LOGITS` allows."""
    batch, length, _ = hidden.shape
    n_terms = len(weight)
    pooled = torch.zeros((batch, n_terms), dtype=_wide(hidden.dtype), device=hidden.device)
    argmax = torch.zeros((batch, n_terms) if track else (0,), dtype=torch.int64, device=hidden.device)
    if length == 0:
        none = argmax.new_zeros(0)
        return pooled, none, none, none
    padding = (~mask).unsqueeze(-1)
    chunk = max(1, DEVICE_LOGITS // max(1, batch * length))
    for first in range(0, n_terms, chunk):
        logits = hidden @ weight[first : first + chunk].T
        best, where = logits.masked_fill_(padding, -torch.inf).max(1)
        best = best.to(pooled.dtype)
        if bias is not None:
            best = best + bias[first : first + chunk]
        active = best > floor
        if wanted is not None:
            active |= wanted[:, first : first + chunk] & (best > -torch.inf)  # -inf: a text without tokens
        pooled[:, first : first + chunk] = torch.where(active, best, 0)
        if track:
            argmax[:, first : first + chunk] = where
    if not track:
        none = argmax.new_zeros(0)
        return pooled, none, none, none
    document, term = pooled.nonzero(as_tuple=True)
    return pooled, document, argmax[document, term], term


def _gather_sum(target: Tensor, source: Tensor, factor: Tensor, table: Tensor, n_targets: int) -> Tensor:
    """out[t] = sum of factor[p] * table[source[p]] over the pairs p with target[p] == t; float[n_targets, H].

    The same as an `index_add_` of gathered rows, but embedding_bag never writes the gathered rows down: 7
    against 10 ms at 200 active terms a document, 30 against 231 ms at 15,000 (32 x 128 tokens, 384 wide, 2
    cores).
    """
    order = torch.argsort(target, stable=True)
    bounds = torch.arange(n_targets, device=target.device)
    offsets = torch.searchsorted(target[order], bounds)
    if not len(order):
        return table.new_zeros((n_targets, table.shape[1]))
    factor = factor[order].to(table.dtype)
    return F.embedding_bag(source[order], table, offsets, mode="sum", per_sample_weights=factor)


def sum_pool(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor, activation: str = "log1p_relu"
) -> Tensor:
    """`sum_i activation(h_ij)` over tokens (SPLADE v1, arXiv 2107.05720), for the arguments of `max_pool`.

    Every token takes part in a sum, so the gradient is dense; chunks of the vocabulary are recomputed in the
    backward pass so that memory stays at one chunk of logits. Returns float[B, V], activated already.
    """
    from splade_engine.training.student.activations import activate

    keep = mask.bool().unsqueeze(-1)

    def pool(h: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        logits = F.linear(h, w, b)
        logits = logits.to(_wide(logits.dtype))
        return torch.where(keep, activate(logits, activation), logits.new_zeros(())).sum(1)

    parts = []
    for first in range(0, len(weight), SUM_CHUNK):
        b = None if bias is None else bias[first : first + SUM_CHUNK]
        w = weight[first : first + SUM_CHUNK]
        parts.append(
            checkpoint(pool, hidden, w, b, use_reentrant=False)
            if hidden.requires_grad
            else pool(hidden, w, b)
        )
    return torch.cat(parts, dim=1)


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """float32[B, H]: the mean of float[B, L, H] states over bool[B, L] `mask`; zeros for an empty text."""
    inside = mask.unsqueeze(-1).float()
    return (states.float() * inside).sum(1) / inside.sum(1).clamp(min=1)


def lexical_pool(
    scores: Tensor, input_ids: Tensor, mask: Tensor, n_terms: int, *, summed: bool = False
) -> Tensor:
    """One weight per input token, no expansion (uniCOIL, arXiv 2106.14807).

    Repeated terms take their maximum.

    Args:
        scores: float[B, L], `relu(w . h_i + b)`.
        input_ids: int64[B, L], the term of each token.
        mask: bool or integer [B, L].
        n_terms: size V of the vocabulary.
        summed: repeated terms add up instead, as in uniCOIL's queries.

    Returns:
        float[B, V].
    """
    scores = (scores * mask).to(_wide(scores.dtype))
    zeros = scores.new_zeros((len(scores), n_terms))
    return zeros.scatter_reduce(1, input_ids, scores, "sum" if summed else "amax", include_self=True)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _autocast(tensor: Tensor) -> Tensor:
    device = tensor.device.type
    if torch.is_autocast_enabled(device) and tensor.dtype is torch.float32:
        return tensor.to(torch.get_autocast_dtype(device))
    return tensor
