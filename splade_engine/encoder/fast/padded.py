"""`PaddedModel`: a transformers model on padded batches, if padding does not change what it computes.

Some backbones look past the mask (convolutions, Fourier mixing, landmarks: FNet, ConvBERT, Nystromformer,
Funnel, YOSO): the states of a text would depend on what else is in its batch. So one text is run alone and
padded when a model is loaded; where the two differ, every text is run alone, slower and right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.place import Place
from splade_engine.encoder.rows import padded

logger = logging.getLogger(__name__)

_SHORT, _LONG = 6, 21  # tokens of the two texts of the probe


class PaddedModel:
    """Token ids of a batch to padded states.

    Args:
        states: int64[B, L] ids and mask to float[B, L, H].
        rows: token ids that the model knows.
        positions: the longest input, None where there is no limit.
        place: device and precision.
        folder: of the model, for the log.
    """

    def __init__(
        self,
        states: Callable[[Tensor, Tensor], Tensor],
        rows: int,
        positions: int | None,
        place: Place,
        folder: Path,
    ) -> None:
        self._states, self._device = states, place.device
        with torch.inference_mode():
            self.alone = self._sees_padding(rows, positions, place.dtype)
        if self.alone:
            logger.warning(
                "%s: padding changes what this model computes: texts are run one at a time", folder
            )

    def __call__(self, batch: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """States dtype[B, L, H] and mask int64[B, L]; states of padding are of no use."""
        ids, mask = padded(batch, self._device)
        if not self.alone or len(batch) == 1:
            return self._states(ids, mask), mask
        rows = [
            self._states(ids[i : i + 1, : len(t)], mask[i : i + 1, : len(t)])[0] for i, t in enumerate(batch)
        ]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), mask

    def _sees_padding(self, rows: int, positions: int | None, dtype: torch.dtype) -> bool:
        long = min(_LONG, positions or _LONG)
        short = max(1, min(_SHORT, long - 1))
        ids = ((torch.arange(2 * long) * 7 + 5) % rows).view(2, long).to(self._device)
        mask = torch.ones_like(ids)
        ids[0, short:], mask[0, short:] = 0, 0
        beside = self._states(ids, mask)[0, :short].float()
        alone = self._states(ids[:1, :short], mask[:1, :short])[0].float()
        bound = 1e-3 if dtype == torch.float32 else 0.1
        return not bool((beside - alone).abs().amax() <= bound * alone.abs().amax())
