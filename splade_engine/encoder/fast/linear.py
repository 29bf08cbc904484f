"""`PackedLinear`: a linear layer for inference, with oneDNN's own weight order and the activation fused.

oneDNN is reached through the operators that torch's compiler uses (`torch.ops.mkldnn`); where a build of
torch lacks them, or on another device, the plain functions give the same numbers more slowly.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Linear(Protocol):
    """x @ weight.T + bias, then an activation.

    Args:
        weight: float[out, in].
        bias: float[out].
        dtype: of inputs and outputs.
        activation: (`gelu`, `none` | `tanh`), (`relu`, ``) or nothing.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, activation: tuple[str, str] = ("", "")
    ) -> None: ...

    def __call__(self, x: Tensor) -> Tensor:
        """dtype[T, in] to dtype[T, out]."""

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`, dtype[T, out]; for layers without activation."""


class PackedLinear:
    """A `Linear` whose weights are laid out once; products are of its `dtype`, summed in float32."""

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, activation: tuple[str, str] = ("", "")
    ) -> None:
        weight, bias = weight.to(dtype).contiguous(), bias.to(dtype).contiguous()
        packed = _reordered(weight)
        self._layer = _Plain(weight, bias) if packed is None else _OneDnn(packed, bias)
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        """dtype[T, in] to dtype[T, out]."""
        return self._layer(x, *self._activation)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`, dtype[T, out]; for layers without activation."""
        return self._layer.plus(x, residual)


class _OneDnn:
    """A weight in oneDNN's order."""

    def __init__(self, packed: Any, bias: Tensor) -> None:
        self._packed, self._bias = packed, bias

    def __call__(self, x: Tensor, name: str, algorithm: str) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, name or "none", [], algorithm
        )
        return out

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self._packed, self._bias, "add")
        return out


class _Plain:
    """torch's own product."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: Tensor, name: str, algorithm: str) -> Tensor:
        y = F.linear(x, self._weight, self._bias)
        if name == "gelu":
            return F.gelu(y, approximate=algorithm)
        return F.relu(y) if name == "relu" else y

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return self(x, "", "") + residual


def _reordered(weight: Tensor) -> Any:
    """The weight in oneDNN's order, None where this torch cannot."""
    if weight.device.type != "cpu" or not has_onednn(weight.dtype):
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether this build and processor run oneDNN's linear layer in `dtype`: tried once, on a tiny one."""
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.zeros((16, 16), dtype=dtype), None)
        x = torch.zeros((1, 16), dtype=dtype)
        torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return True
