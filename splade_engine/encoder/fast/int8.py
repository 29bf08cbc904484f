"""`Int8Linear`: a linear layer whose product is one of int8, with a scale for each token and for each output.

    x_i ~ s_i c_i,   w_o ~ r_o d_o          codes c, d of one byte
    y_io = s_i (r_o (c_i . d_o)) + b_o

Tokens are scaled as they come, so nothing is calibrated on texts, and a token's state does not depend on its
neighbours in the batch. One scale for all tokens loses ten times as much: the feed-forward states of some are
ten times those of others. oneDNN multiplies unsigned codes by signed ones; it knows no scale per token, so
this one is applied with the bias.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from splade_engine.encoder.fast.screen import fast_int8

# Largest code: a scale that was rounded to bfloat16 may raise it by one, and 128 would overflow
_LARGEST = 126
_ZERO = 128  # the code of zero
_ROWS = 2048  # tokens that the weights are laid out for; any number is right


class Int8Linear:
    """A `Linear` whose products are of int8, summed in int32; see the module."""

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, activation: tuple[str, str] = ("", "")
    ) -> None:
        weight = weight.float()
        self._scale = (weight.abs().amax(1) / 127).clamp_min(1e-12)
        codes = (weight / self._scale[:, None]).round_().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(codes, [_ROWS, codes.shape[1]])
        self._zeros = torch.zeros(len(codes), dtype=torch.int32)
        self._bias, self._dtype = bias.to(dtype), dtype
        self._activation, self._algorithm = activation

    def __call__(self, x: Tensor) -> Tensor:
        """dtype[T, in] to dtype[T, out]."""
        out, scale = self._product(x)
        torch.addcmul(self._bias, out, scale, out=out)
        if self._activation == "gelu":
            torch.ops.aten.gelu_(out, approximate=self._algorithm)
        elif self._activation == "relu":
            out.relu_()
        return out

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`, dtype[T, out]; for layers without activation."""
        out, scale = self._product(x)
        return torch.addcmul(residual, out, scale, out=out).add_(self._bias)

    def _product(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """dtype[T, out] before a token's scale, and that scale dtype[T, 1]."""
        rounded = x.abs()
        scale = (rounded.amax(1, keepdim=True) / _LARGEST).clamp_min_(1e-12)  # NaN stays, to be refused
        torch.div(x, scale, out=rounded)
        signed = rounded.round_().to(torch.int8)
        codes = signed.view(torch.uint8).bitwise_xor_(_ZERO)  # adds 128: signed to unsigned
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            codes,
            1.0,
            _ZERO,
            self._packed,
            self._scale,
            self._zeros,
            None,
            1.0,
            0,
            self._dtype,
            "none",
            [],
            "",
        )
        return product, scale


@cache
def has_int8_layers() -> bool:
    """Whether this build and processor run such layers, right and fast: tried once, on a tiny one."""
    if not fast_int8():
        return False
    weight = torch.arange(-512.0, 512.0).view(16, 64)
    x = torch.arange(-96.0, 96.0).view(3, 64)
    try:
        found = Int8Linear(weight, torch.ones(16), torch.float32)(x)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    exact = x @ weight.T + 1
    return bool((found - exact).abs().amax() < 0.02 * exact.abs().amax())
