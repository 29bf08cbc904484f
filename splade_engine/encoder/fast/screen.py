"""`ScreenedPooling`: max pooling that computes exactly only the terms that can be positive.

A trained encoder gives a document some 100 to 300 of 30,522 terms; the other 99 % of the vocabulary product
is spent to learn that a logit is negative. So an int8 product (VNNI, twice the speed of bfloat16) bounds
every term's largest logit first, and only the terms that are not clearly negative are computed in the
model's precision. What comes out are exact weights; a term is missed only if int8 rounding, whose standard
deviation is known per term, errs by more than `MARGIN` of them.

    state s ~ code_s * scale_text,   row w_v ~ code_v * scale_v   (both after dividing/multiplying coordinate
    j by a_j) sd_v^2  = scale_text^2 / 12 * |w_v|^2  +  scale_v^2 / 12 * |s|^2
    screened: max_i logit_iv + MARGIN * sd_v > 0

a_j = sqrt(range of s_j / range of w_j) splits outlying coordinates between both sides (SmoothQuant,
2211.10438). States and rows are written in fewer coordinates first where these bound the logit as well
(`coordinates.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from splade_engine.encoder.fast.coordinates import Coordinates

MARGIN = 6.0
# Rows of the vocabulary per int8 product: codes (384 KB at H = 384) and int32 results of one text stay in
# the cache
_CHUNK = 1024


class ScreenedPooling:
    """The largest logit of every term that is positive in a text; other terms may be missing.

    Args:
        weight: float[V, H], the decoder in the model's precision.
        bias: float[V].
        coordinates: in which logits are bounded.
        dropped: int64[...], terms that never come out.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, coordinates: Coordinates, dropped: Tensor | None = None
    ) -> None:
        self.weight = weight
        self.bias = bias.float().clone()
        if dropped is not None:
            self.bias[dropped] = -torch.inf
        self._coordinates = coordinates
        exact, constant = coordinates.of_rows(weight.float())
        self._constant = self.bias + constant
        smooth = (coordinates.range / exact.abs().amax(0).clamp_min(1e-12)).clamp_min(1e-12).sqrt()
        self._unsmooth = 1 / smooth
        scaled = exact * smooth
        self._row_scale = (scaled.abs().amax(1) / 127).clamp_min(1e-12)
        codes = (scaled / self._row_scale[:, None]).round_().to(torch.int8)
        self._chunks = [codes[a : a + _CHUNK].contiguous() for a in range(0, len(codes), _CHUNK)]
        self._row_norm2 = scaled.square().sum(1)

    def __call__(self, states: Tensor, lengths: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Per text the screened terms int64[n], ascending, and their largest logits float32[n].

        Args:
            states: float[T, H], the tokens of all texts one after the other.
            lengths: tokens per text.
        """
        texts = torch.split(states, list(lengths))
        scaled = self._coordinates.of_states(states) * self._unsmooth
        parts = torch.split(scaled, list(lengths))
        scales = torch.stack([part.abs().amax() for part in parts]).clamp_(min=1e-12) / 127
        norms2 = torch.stack([part.square().sum(1).amax() for part in parts])
        codes = [(part / scale).round_().to(torch.int8) for part, scale in zip(parts, scales, strict=True)]
        best = torch.empty((len(texts), len(self.bias)), dtype=torch.int32)
        start = 0
        for chunk in self._chunks:
            columns = chunk.T
            for row, code in enumerate(codes):
                torch.amax(_product(code, columns), 0, out=best[row, start : start + len(chunk)])
            start += len(chunk)
        out = []
        for row, text in enumerate(texts):
            step = scales[row] * self._row_scale
            spread = scales[row].square() * self._row_norm2 + self._row_scale.square() * norms2[row]
            bound = best[row] * step + self._constant + MARGIN * (spread / 12).sqrt_()
            terms = (~(bound <= 0)).nonzero().squeeze(1)  # NaN stays, to be refused
            logits = torch.mm(text, self.weight.index_select(0, terms).T).amax(0).float()
            out.append((terms, logits + self.bias[terms]))
        return out


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
