"""`ScreenedPooling`: max pooling that computes exactly only the terms that can be positive.

A trained encoder gives a document some 100 to 300 of 30,522 terms; the other 99 % of the vocabulary product
is spent to learn that a logit is negative. So a cheaper product bounds every term's largest logit first, and
only the terms that are not clearly negative are computed in the model's precision. What comes out are exact
weights. The cheaper product is one of fewer coordinates that bound the logit as well (`coordinates.py`),
and of int8 where the processor multiplies it fast (VNNI, twice the speed of bfloat16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from splade_engine.encoder.fast.coordinates import Coordinates
from splade_engine.encoder.fast.linear import PackedLinear

MARGIN = 6.0
# Rows of the vocabulary per product: codes (384 KB at H = 384) and int32 or float32 results of one text stay
# in the cache
_CHUNK = 1024
_ROUNDING = 1e-5  # of a product of lengths, that float32 sums may err by
_Rows = TypeVar("_Rows")  # of the vocabulary, as a product takes them


class Bounds(Protocol):
    """The most that the logit of each term can be, without its bias."""

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """float32[B, V], for the tokens float[T, H] of B texts one after the other."""


class Float32Bounds:
    """Bounds by a product of float32 in fewer coordinates than a state has.

    Args:
        weight: float[V, H], the decoder.
        coordinates: in which logits are bounded.
    """

    def __init__(self, weight: Tensor, coordinates: Coordinates) -> None:
        self._coordinates = coordinates
        rows, self._constant = coordinates.of_rows(weight.float())
        self._norm = rows.square().sum(1).sqrt()
        self._chunks = [
            PackedLinear(rows[a : a + _CHUNK], self._constant[a : a + _CHUNK], torch.float32)
            for a in range(0, len(rows), _CHUNK)
        ]

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `Bounds`."""
        parts = torch.split(self._coordinates.of_states(states), list(lengths))
        norms = torch.stack([part.square().sum(1).amax() for part in parts]).sqrt()
        best = torch.empty((len(parts), len(self._norm)))
        _take_largest(best, parts, self._chunks, lambda chunk, part: chunk(part))
        return best.addr_(norms, self._norm, alpha=_ROUNDING)


class Int8Bounds:
    """Bounds by a product of int8, of which the rounding is known.

        state s ~ code_s * scale_text,   row w_v ~ code_v * scale_v   (both after dividing/multiplying
        coordinate j by a_j)
        sd_v^2  = scale_text^2 / 12 * |w_v|^2  +  scale_v^2 / 12 * |s|^2
        bound   = max_i logit_iv + MARGIN * sd_v

    A term is missed only if int8 rounding, whose standard deviation is sd_v, errs by more than `MARGIN` of
    them. a_j = sqrt(range of s_j / range of w_j) splits outlying coordinates between both sides (SmoothQuant,
    2211.10438).

    Args:
        weight: float[V, H], the decoder.
        coordinates: in which logits are bounded.
    """

    def __init__(self, weight: Tensor, coordinates: Coordinates) -> None:
        self._coordinates = coordinates
        exact, self._constant = coordinates.of_rows(weight.float())
        smooth = (coordinates.range / exact.abs().amax(0).clamp_min(1e-12)).clamp_min(1e-12).sqrt()
        self._unsmooth = 1 / smooth
        scaled = exact * smooth
        self._row_scale = (scaled.abs().amax(1) / 127).clamp_min(1e-12)
        codes = (scaled / self._row_scale[:, None]).round_().to(torch.int8)
        self._chunks = [codes[a : a + _CHUNK].contiguous() for a in range(0, len(codes), _CHUNK)]
        self._row_norm2 = scaled.square().sum(1)

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `Bounds`."""
        scaled = self._coordinates.of_states(states) * self._unsmooth
        parts = torch.split(scaled, list(lengths))
        scales = torch.stack([part.abs().amax() for part in parts]).clamp_(min=1e-12) / 127
        norms2 = torch.stack([part.square().sum(1).amax() for part in parts])
        codes = [(part / scale).round_().to(torch.int8) for part, scale in zip(parts, scales, strict=True)]
        best = torch.empty((len(parts), len(self._row_scale)), dtype=torch.int32)
        _take_largest(best, codes, self._chunks, lambda chunk, code: _product(code, chunk.T))
        step = torch.outer(scales, self._row_scale)
        spread = torch.outer(scales.square(), self._row_norm2) + torch.outer(norms2, self._row_scale.square())
        return best * step + self._constant + MARGIN * (spread / 12).sqrt_()


class ScreenedPooling:
    """The largest logit of every term that is positive in a text; other terms may be missing.

    Args:
        weight: float[V, H], the decoder in the model's precision.
        bias: float[V].
        bounds: of its logits.
        dropped: int64[...], terms that never come out.
    """

    def __init__(self, weight: Tensor, bias: Tensor, bounds: Bounds, dropped: Tensor | None = None) -> None:
        self.weight = weight
        self.bias = bias.float().clone()
        if dropped is not None:
            self.bias[dropped] = -torch.inf
        self._bounds = bounds

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Per text the screened terms int64[n], ascending, and their largest logits float32[n].

        Args:
            states: float[T, H], the tokens of all texts one after the other.
            lengths: tokens per text.
        """
        out = []
        bounds = self._bounds(states, lengths).add_(self.bias)
        for bound, text in zip(bounds, torch.split(states, list(lengths)), strict=True):
            terms = (~(bound <= 0)).nonzero().squeeze(1)  # NaN stays, to be refused
            logits = torch.mm(text, self.weight.index_select(0, terms).T).amax(0).float()
            out.append((terms, logits + self.bias[terms]))
        return out


def bounds_for(weight: Tensor, coordinates: Coordinates | None) -> Bounds | None:
    """The cheapest bounds of the logits of a decoder float[V, H]; None where none are cheap."""
    if coordinates is None:
        return None
    if fast_int8():
        return Int8Bounds(weight, coordinates)
    return Float32Bounds(weight, coordinates) if len(coordinates.range) < weight.shape[1] else None


def _take_largest(
    best: Tensor, parts: Sequence[Tensor], chunks: Sequence[_Rows], product: Callable[[_Rows, Tensor], Tensor]
) -> None:
    """best[B, V]: per text and row of the vocabulary the largest product over its tokens, chunk by chunk."""
    start = 0
    for chunk in chunks:
        end = min(start + _CHUNK, best.shape[1])
        for row, part in enumerate(parts):
            torch.amax(product(chunk, part), 0, out=best[row, start:end])
        start = end


def _product(codes: Tensor, columns: Tensor) -> Tensor:
    """int32[L, n] = int8[L, H] @ int8[H, n]."""
    return torch._int_mm(codes, columns)


@cache
def fast_int8() -> bool:
    """Whether int8 products are faster than any other here (VNNI or AMX), and right."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.10
    if capabilities:
        fast = any(capabilities.get(name, False) for name in ("avx512_vnni", "amx_int8"))
    else:
        fast = bool(torch.cpu._is_vnni_supported())
    return fast and exact_int8()


def exact_int8() -> bool:
    """Whether large int8 products come out right on this processor.

    Without VNNI oneDNN adds pairs of them in 16 bits, which overflow, and terms would be lost.
    ONEDNN_MAX_CPU_ISA can bring that about on any processor.
    """
    codes = torch.full((16, 384), 127, dtype=torch.int8)
    columns = torch.full((64, 384), 127, dtype=torch.int8)
    columns[::2] = -127
    expected = (columns.int() * 127).sum(1, dtype=torch.int32).expand(len(codes), -1)
    return bool(torch.equal(_product(codes, columns.T), expected))
