"""Token states of a masked language model: packed on the processor, padded everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from splade_engine.encoder.backbone import Backbone, load_backbone, load_pretrained
from splade_engine.encoder.fast.coordinates import Coordinates, coordinates_for
from splade_engine.encoder.fast.packed import PackedBert, PackedBody, load_packed, load_packed_body
from splade_engine.encoder.fast.padded import PaddedModel
from splade_engine.encoder.folders.files import positions_of
from splade_engine.encoder.place import Place
from splade_engine.errors import InvalidInputError

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.tokens import Ids


class States(Protocol):
    """A model up to the vocabulary.

    Attributes:
        decoder_weight: dtype[V, H].
        decoder_bias: float[V].
    """

    decoder_weight: Tensor
    decoder_bias: Tensor

    def coordinates(self) -> Coordinates | None:
        """In which the logits of states are bounded cheaply; None: not known."""

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """Hidden states and those before the vocabulary, dtype[T, H] each.

        The tokens of all texts stand one after the other.
        """


class PackedStates:
    """`PackedBert`: nothing is computed for padding."""

    def __init__(self, model: PackedBert) -> None:
        self._model = model
        self.decoder_weight, self.decoder_bias = model.decoder_weight, model.decoder_bias

    def coordinates(self) -> Coordinates | None:
        """See `States`."""
        return coordinates_for(self._model.state_range, self._model.sample())

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """See `States`."""
        hidden = self._model.hidden(batch)
        return hidden, self._model.transform(hidden)


class PaddedStates:
    """transformers' model on padded batches."""

    def __init__(self, backbone: Backbone, place: Place, folder: Path) -> None:
        self._backbone = backbone
        config = backbone.model.config
        self._body = PaddedModel(
            backbone.hidden, int(config.vocab_size), positions_of(config.to_dict()), place, folder
        )
        self.decoder_weight, self.decoder_bias = backbone.decoder_weight, backbone.decoder_bias

    def coordinates(self) -> Coordinates | None:
        """See `States`."""
        return None

    def __call__(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """See `States`."""
        states, mask = self._body(batch)
        hidden = states[mask.bool()]
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

    def __init__(self, body: Any, place: Place, folder: Path) -> None:
        self._body = padded_body(body, place, folder)
        self.width = int(body.config.hidden_size)

    def __call__(self, batch: Sequence[Ids]) -> Tensor:
        """See `Hidden`."""
        states, mask = self._body(batch)
        return states[mask.bool()]


def padded_body(body: Any, place: Place, folder: Path) -> PaddedModel:
    """A transformers model without a head, on its device, as a `PaddedModel`."""

    def states(ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = body(input_ids=ids, attention_mask=mask).last_hidden_state
        return found

    config = body.config
    return PaddedModel(states, int(config.vocab_size), positions_of(config.to_dict()), place, folder)


def load_hidden(folder: Path, place: Place) -> Hidden:
    """The body of the model in a folder: packed on a processor if its architecture can be.

    Raises:
        CheckpointError: if it cannot be built.
    """
    packed = load_packed_body(folder, place.dtype) if place.device.type == "cpu" else None
    if packed is not None:
        return PackedHidden(packed)
    body = load_pretrained(folder, "AutoModel", place.dtype)
    return PaddedHidden(body.to(place.device).eval(), place, folder)


def load_states(checkpoint: Checkpoint, place: Place) -> States:
    """The model of a checkpoint: packed on a processor if its architecture can be.

    Raises:
        CheckpointError: if it cannot be built.
        InvalidInputError: if it has no int8 layers, and they are asked for.
    """
    cpu = place.device.type == "cpu"
    packed = load_packed(checkpoint, place.dtype, int8=place.int8) if cpu else None
    if packed is not None:
        return PackedStates(packed)
    if place.int8:
        raise InvalidInputError(
            f"dtype 'int8': {checkpoint.model_folder}: only BERT, DistilBERT, RoBERTa, XLM-RoBERTa and "
            "CamemBERT have int8 layers"
        )
    backbone = load_backbone(checkpoint, place.device, place.dtype)
    return PaddedStates(backbone, place, checkpoint.model_folder)
