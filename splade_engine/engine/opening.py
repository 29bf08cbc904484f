"""The encoder that an engine runs: the one that was given, or the one that its index names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from splade_engine.arguments import shown
from splade_engine.engine.encoder_record import BUNDLED, SOURCE, check_encoder
from splade_engine.errors import CheckpointError, EncoderMismatchError, InvalidInputError
from splade_engine.index import ShardedIndex
from splade_engine.index.disk.own_encoder import own_encoder

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder
    from splade_engine.index import SparseIndex


def loaded_encoder(encoder: SparseEncoder | str | Path | None, device: str = "auto") -> SparseEncoder:
    """An encoder as it was given, or from what names one; None is the bundled one.

    Raises:
        CheckpointError: it cannot be loaded.
        InvalidInputError: what is given is no encoder and names none.
    """
    if encoder is not None and not isinstance(encoder, str | os.PathLike):
        if isinstance(encoder, type) or not hasattr(encoder, "fingerprint"):
            raise InvalidInputError(
                f"encoder: an encoder, or the folder or hub id of one, is expected, got {shown(encoder)}"
            )
        return encoder
    from splade_engine.encoder import SparseEncoder

    return SparseEncoder.load(encoder, device=device)


def encoder_of(
    index: SparseIndex, encoder: SparseEncoder | str | Path | None, device: str = "auto"
) -> SparseEncoder:
    """The encoder for an index: the one that is given, if it is the right one, or the one that it names.

    Raises:
        EncoderMismatchError: the encoder is another one than the index was built with, or none is named.
        CheckpointError: it cannot be loaded, naming index and encoder.
    """
    record = index.encoder
    if encoder is not None:
        loaded = loaded_encoder(encoder, device)
    elif record is None:
        raise EncoderMismatchError(f"{index.path}: does not say which encoder made its vectors; name one")
    else:
        loaded = _recorded_encoder(index, record, device)
    check_encoder(index.path, record, loaded, index.n_terms)
    return loaded


def _recorded_encoder(index: SparseIndex, record: Mapping[str, str | int], device: str) -> SparseEncoder:
    from splade_engine.encoder import SparseEncoder

    path = index.path
    readers = index.shards if isinstance(index, ShardedIndex) else (index.reader,)
    carried = next(filter(None, (own_encoder(reader.path, reader.generation) for reader in readers)), None)
    source, max_length, long_texts = (record.get(key) for key in (SOURCE, "max_length", "long_texts"))
    if source != BUNDLED and carried is not None:  # which came with the index, or with one of the shards
        source = str(carried)
    if source is None:
        raise EncoderMismatchError(f"{path}: does not say where its encoder is; name one")
    try:
        return SparseEncoder.load(
            None if source == BUNDLED else str(source),
            device=device,
            max_length=max_length if isinstance(max_length, int) else None,
            long_texts=cast(Any, long_texts),
        )
    except CheckpointError as error:
        if carried is not None and not carried.is_dir():  # it has just taken its place
            return _recorded_encoder(index, record, device)
        raise CheckpointError(f"{path}: its encoder {source} cannot be loaded: {error}") from error
