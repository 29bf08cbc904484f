"""From token states to sparse rows: screened where terms can be bounded cheaply, else term by term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from splade_engine.encoder.fast.dense_head import WholeText, load_dense_head
from splade_engine.encoder.fast.pooling import VocabularyPooling, activate_
from splade_engine.encoder.fast.screen import ScreenedPooling, bounds_for
from splade_engine.encoder.rows import Row, float32, int32, sparse_rows
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.fast.states import States
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.settings import EncoderSettings
    from splade_engine.encoder.tokens import Ids


class PooledRows(Protocol):
    """States of a batch to the rows of its texts."""

    def __call__(
        self, states: Tensor, lengths: Sequence[int], whole: Tensor | None, top_k: int | None
    ) -> list[Row]:
        """Sorted terms and positive weights per text.

        Args:
            states: dtype[T, H], before the vocabulary, the tokens of all texts one after the other.
            lengths: tokens per text.
            whole: float32[B, V], weights that the text as a whole adds; None: nothing.
            top_k: terms kept per text; None keeps all.
        """


class ScreenedRows:
    """`ScreenedPooling`: only terms that can be positive are computed exactly."""

    def __init__(self, pooling: ScreenedPooling, settings: EncoderSettings) -> None:
        self._pooling, self._settings = pooling, settings

    def __call__(
        self, states: Tensor, lengths: Sequence[int], whole: Tensor | None, top_k: int | None
    ) -> list[Row]:
        """See `PooledRows`."""
        rows = [self._row(terms, best) for terms, best in self._pooling(states, lengths)]
        if whole is None:
            return rows
        for weights, (terms, more) in zip(float32(whole), rows, strict=True):
            weights[terms] += more  # shares the tensor's memory
        return sparse_rows(whole, top_k)

    def _row(self, terms: Tensor, best: Tensor) -> Row:
        weights = activate_(best, self._settings)
        keep = ~(weights <= 0)  # NaN stays, to be refused
        return int32(terms[keep]), float32(weights[keep])


class VocabularyRows:
    """`VocabularyPooling`: every term of the vocabulary, chunk by chunk."""

    def __init__(self, pooling: VocabularyPooling) -> None:
        self._pooling = pooling

    def __call__(
        self, states: Tensor, lengths: Sequence[int], whole: Tensor | None, top_k: int | None
    ) -> list[Row]:
        """See `PooledRows`."""
        weights = self._pooling(states, lengths)
        return sparse_rows(weights if whole is None else weights + whole, top_k)


def load_pooling(settings: EncoderSettings, states: States, place: Place, zero: Ids) -> PooledRows:
    """The pooling that fits settings and machine; terms of `zero` (int32[...]) never come out."""
    dropped = on_device(zero, place)
    if settings.pooling == "max":
        bounds = bounds_for(states.decoder_weight, states.coordinates())
        if bounds is not None:
            screened = ScreenedPooling(states.decoder_weight, states.decoder_bias, bounds, dropped)
            return ScreenedRows(screened, settings)
    return VocabularyRows(VocabularyPooling(states.decoder_weight, states.decoder_bias, settings, dropped))


def load_whole_text(checkpoint: Checkpoint, states: States, place: Place, zero: Ids) -> WholeText | None:
    """The second head of a checkpoint, None where it has none.

    Raises:
        CheckpointError: if it does not fit the model.
    """
    if checkpoint.dense_head is None:
        return None
    head = load_dense_head(checkpoint.dense_head)
    n_terms, width = states.decoder_weight.shape
    if len(head.decoder.bias) != n_terms or head.project.in_features != width:
        raise CheckpointError(
            f"{checkpoint.dense_head}: {len(head.decoder.bias)} terms of states of "
            f"{head.project.in_features} for a model of {n_terms} and {width}"
        )
    return WholeText(head, place, on_device(zero, place))


def on_device(ids: Ids, place: Place) -> Tensor | None:
    """int64[...] on the device; None for no ids."""
    return torch.from_numpy(ids.astype(np.int64)).to(place.device) if len(ids) else None
