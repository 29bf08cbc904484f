"""`PackedLinear`: a linear layer for inference, with oneDNN's own weight order and the activation fused.

oneDNN is reached through the operators that torch's compiler uses (`torch.ops.mkldnn`); where a build of
torch lacks them, or on another device, the plain functions give the same numbers more slowly.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class PackedLinear:
    """x @ weight.T + bias, then an activation.

    Args:
        weight: float[out, in].
        bias: float[out].
        dtype: of inputs and outputs; products are summed in float32.
        activation: (`gelu`, `none` | `tanh`), (`relu`, ``) or nothing.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, activation: tuple[str, str] = ("", "")
    ) -> None:
        self._bias = bias.to(dtype).contiguous()
        self._activation = activation
        self._weight: Tensor | None = weight.to(dtype).contiguous()
        self._packed: Any = _reordered(self._weight)
        if self._packed is not None:
            self._weight = None  # one copy is enough

    def __call__(self, x: Tensor) -> Tensor:
        """dtype[T, in] to dtype[T, out]."""
        name, algorithm = self._activation
        if self._packed is not None:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._packed, self._bias, name or "none", [], algorithm
            )
            return out
        assert self._weight is not None
        y = F.linear(x, self._weight, self._bias)
        if name == "gelu":
            return F.gelu(y, approximate=algorithm)
        return F.relu(y) if name == "relu" else y

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`, dtype[T, out]; for layers without activation."""
        if self._packed is not None:
            out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                x, residual, self._packed, self._bias, "add"
            )
            return out
        return self(x) + residual


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
