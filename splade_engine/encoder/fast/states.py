"""Token states of a masked language model: packed on the processor, padded everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from splade_engine.encoder.backbone import Backbone, load_backbone, load_pretrained
from splade_engine.encoder.fast.packed import PackedBert, PackedBody, load_packed, load_packed_body
from splade_engine.encoder.place import Place
from splade_engine.encoder.rows import padded

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.tokens import Ids


class States(Protocol):
    """A model up to the vocabulary.

    Attributes:
        decoder_weight: dtype[V, H].
        decoder_bias: float[V].
        state_range: float32[H], how large each coordinate of a state may be expected to get; None: not known.
    """

    decoder_weight: Tensor
    decoder_bias: Tensor
    state_range: Tensor | None

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """Hidden states and those before the vocabulary, dtype[T, H], the tokens of all texts one after the
        other.
        """


class PackedStates:
    """`PackedBert`: nothing is computed for padding."""

    def __init__(self, model: PackedBert) -> None:
        self._model = model
        self.decoder_weight, self.decoder_bias = model.decoder_weight, model.decoder_bias
        self.state_range: Tensor | None = model.state_range

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """See `States`."""
        hidden = self._model.hidden(batch)
        return hidden, self._model.transform(hidden)


class PaddedStates:
    """transformers' model on padded batches."""

    def __init__(self, backbone: Backbone, place: Place) -> None:
        self._backbone, self._place = backbone, place
        self.decoder_weight, self.decoder_bias = backbone.decoder_weight, backbone.decoder_bias
        self.state_range: Tensor | None = None

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """See `States`."""
        ids, mask = padded(batch, self._place.device)
        hidden = self._backbone.hidden(ids, mask)[mask.bool()]
        return hidden, self._backbone.transform(hidden)


class Hidden(Protocol):
    """The body of a model alone.

    Attributes:
        width: H, of a state.
    """

    width: int

    def __call__(self, batch: Sequence[Ids]) -> Tensor:
        """Last hidden states dtype[T, H], the tokens of all texts one after the other."""


class PackedHidden:
    """`PackedBody`: nothing is computed for padding."""

    def __init__(self, body: PackedBody) -> None:
        self._body, self.width = body, body.width

    def __call__(self, batch: Sequence[Ids]) -> Tensor:
        """See `Hidden`."""
        return self._body.hidden(batch)


class PaddedHidden:
    """transformers' model on padded batches."""

    def __init__(self, body: Any, place: Place) -> None:
        self._body, self._place = body, place
        self.width = int(body.config.hidden_size)

    def __call__(self, batch: Sequence[Ids]) -> Tensor:
        """See `Hidden`."""
        ids, mask = padded(batch, self._place.device)
        states: Tensor = self._body(input_ids=ids, attention_mask=mask).last_hidden_state
        return states[mask.bool()]


def load_hidden(folder: Path, place: Place) -> Hidden:
    """The body of the model in a folder: packed on a processor if its architecture can be.

    Raises:
        CheckpointError: if it cannot be built.
    """
    packed = load_packed_body(folder, place.dtype) if place.device.type == "cpu" else None
    if packed is not None:
        return PackedHidden(packed)
    body = load_pretrained(folder, "AutoModel", place.dtype)
    return PaddedHidden(body.to(place.device).eval(), place)


def load_states(checkpoint: Checkpoint, place: Place) -> States:
    """The model of a checkpoint: packed on a processor if its architecture can be.

    Raises:
        CheckpointError: if it cannot be built.
    """
    packed = load_packed(checkpoint, place.dtype) if place.device.type == "cpu" else None
    if packed is not None:
        return PackedStates(packed)
    return PaddedStates(load_backbone(checkpoint, place.device, place.dtype), place)
