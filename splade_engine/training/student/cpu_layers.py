"""The layers of a transformer that a CPU trains faster than transformers runs them, with the same results.

- Linear layers in float32: oneDNN instead of MKL, in both passes. One Zen 5 core, 4,096 tokens, 384 to 1,536:
  20 against 45 ms forward, 48 against 92 ms backward.
- Dropout: torch draws a random number an element, on one core; 16 random bits decide as well (the rate is off
  by at most 1/131,072). 1.6 million elements: 3.4 against 9.4 ms.
- Attention in bfloat16, or with dropout: torch's fused kernel is slow in bfloat16 backwards and refuses
  dropout. 16 texts x 12 heads x 128 tokens, both passes: bfloat16 with dropout 21 against 42 ms, without 9
  against 50; float32 with dropout 39 against 46, without it the fused kernel stays.

Random bits come from torch's generator, so that a resumed run goes on bit by bit. `use_cpu_layers` changes
the classes of modules in place: parameters, names and what is saved stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from splade_engine.encoder.fast.linear import has_onednn

ATTENTION = "splade_engine_cpu"  # the name under which transformers finds the attention
_ATTENDING = ("bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra")  # tried
_LEVELS = 1 << 16  # of the random numbers that decide a dropout


def use_cpu_layers(model: nn.Module) -> None:
    """Let a model that trains on a CPU use the layers of this module, where they fit."""
    onednn = has_onednn(torch.float32)
    for module in model.modules():
        if type(module) is nn.Linear and onednn:
            module.__class__ = CpuLinear
        elif type(module) is nn.Dropout:
            module.__class__ = CpuDropout
    for module in model.modules():
        kind = getattr(getattr(module, "config", None), "model_type", "")
        choose: Any = getattr(module, "set_attn_implementation", None)
        if kind in _ATTENDING and choose is not None:
            _register()
            choose(ATTENTION)


class CpuLinear(nn.Linear):
    """`nn.Linear` by oneDNN; autocast and other types go the usual way."""

    def forward(self, input: Tensor) -> Tensor:
        """float[..., in] to float[..., out]."""
        plain = input.dtype is torch.float32 and self.weight.dtype is torch.float32
        if not plain or input.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not input.numel():
            return super().forward(input)
        out: Tensor = _Linear.apply(input.reshape(-1, self.in_features), self.weight, self.bias)  # type: ignore[no-untyped-call]
        return out.view(*input.shape[:-1], self.out_features)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        return (
            product(grad, weight.T) if needed[0] else None,
            product(grad.T, x.T) if needed[1] else None,
            grad.sum(0) if needed[2] else None,
        )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` for float[T, in] and float[out, in]: by oneDNN where that is the faster one."""
    if x.dtype is torch.float32 and x.device.type == "cpu" and has_onednn(torch.float32):
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return out
    return torch.nn.functional.linear(x, weight, bias)


class CpuDropout(nn.Dropout):
    """`nn.Dropout` from 16 random bits an element."""

    def forward(self, input: Tensor) -> Tensor:
        """Of any shape."""
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        out: Tensor = _Dropout.apply(input, self.p)  # type: ignore[no-untyped-call]
        return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        keep, ctx.scale = kept(x.shape, rate)
        ctx.save_for_backward(keep)
        return _masked(x, keep, ctx.scale)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (keep,) = ctx.saved_tensors
        return _masked(grad, keep, ctx.scale), None


def kept(shape: torch.Size, rate: float) -> tuple[Tensor, float]:
    """bool[shape], False with probability `rate`, from torch's generator; and the factor of the others."""
    dropped = max(1, min(_LEVELS - 1, round(rate * _LEVELS)))
    n = shape.numel()
    bits = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:n]
    return bits.view(shape) >= dropped - _LEVELS // 2, _LEVELS / (_LEVELS - dropped)


def _masked(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    """The product x * keep * scale in one pass over memory."""
    out: Tensor = torch.ops.aten.native_dropout_backward(x, keep, scale)
    return out


# ---- attention --------------------------------------------------------------------------------------


def cpu_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: attention of float[B, heads, L, d] queries, keys and values.

    Args:
        module: the layer; dropout applies while it trains.
        query: float[B, heads, L, d].
        key: of the same shape.
        value: of the same shape.
        attention_mask: float[B, 1, L, L], added to the scores; None: no padding.
        scaling: of the scores; None: d^-1/2.
        dropout: rate.
        kwargs: not looked at.

    Returns:
        float[B, L, heads, d], and None in place of the weights.
    """
    del kwargs
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rate = dropout if module.training else 0.0
    if query.dtype is not torch.bfloat16 and not rate:
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scale
        )
    else:
        out = _Attention.apply(query, key, value, attention_mask, scale, rate)  # type: ignore[no-untyped-call]
    return out.transpose(1, 2).contiguous(), None


class _Attention(torch.autograd.Function):
    """softmax(q k' scale + mask), dropped, times v.

    The softmax is saved in bfloat16; in float32, where it is a fifth of what a layer keeps, it is computed
    once more in the backward pass: 2.7 instead of 2.9 GB a step of 32 x (128 + 128) tokens, 3 % more time.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, rate: float
    ) -> Tensor:
        query = query * scale
        weights = _weights(query, key, mask)
        keep, ctx.factor = kept(weights.shape, rate) if rate else (None, 1.0)
        ctx.scale = scale
        ctx.save_for_backward(query, key, value, mask, keep, weights if _is_small(weights) else None)
        return (weights if keep is None else _masked(weights, keep, ctx.factor)) @ value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, keep, weights = ctx.saved_tensors
        if weights is None:
            weights = _weights(query, key, mask)
        dropped = weights if keep is None else _masked(weights, keep, ctx.factor)
        grad_value = dropped.transpose(-1, -2) @ grad
        grad_weights = grad @ value.transpose(-1, -2)
        if keep is not None:
            grad_weights = _masked(grad_weights, keep, ctx.factor)
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_query = (grad_scores @ key) * ctx.scale
        return grad_query, grad_scores.transpose(-1, -2) @ query, grad_value, None, None, None


def _weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-1, -2)
    if mask is not None:
        scores += mask
    return torch.softmax(scores, -1)


def _is_small(weights: Tensor) -> bool:
    return weights.element_size() == 2


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(ATTENTION, cpu_attention)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
