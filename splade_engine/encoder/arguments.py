"""Checking what callers pass to an encoder, with errors that name the value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splade_engine.arguments import check_many, path_of, shown
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.settings import EncoderSettings, is_integer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.extras import needed
from splade_engine.files import refuse_ours
from splade_engine.plain_text import is_text

_DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")


def check_place(device: object, dtype: object) -> None:
    """The names of a device and a precision; whether the device is there shows when it is used.

    Raises:
        InvalidInputError: naming what cannot be meant.
    """
    if dtype not in _DTYPES:
        raise InvalidInputError(f"dtype {dtype!r}: expected one of {', '.join(_DTYPES)}")
    if not isinstance(device, str):
        raise InvalidInputError(f"device {shown(device)}: expected auto, cpu, cuda, cuda:<n> or mps")


def checked_devices(devices: Sequence[str]) -> list[str]:
    """Several devices, each of which is there: a wrong name shows before a process is started.

    Raises:
        InvalidInputError: naming what cannot be meant.
    """
    check_many("device", devices, "devices")
    named = list(devices)
    if not named:
        raise InvalidInputError("device: a list of at least one device is expected, got none")
    with needed("encoding with a model"):
        from splade_engine.encoder.place import choose_place

    for device in named:
        if not isinstance(device, str):
            raise InvalidInputError(f"device {device!r:.60}: expected auto, cpu, cuda, cuda:<n> or mps")
        choose_place(device, "auto")
    return named


def model_folder(name: str, value: Any) -> Path:
    """A path to write a model to.

    Raises:
        InvalidInputError: for what is no path, or one that is not UTF-8: the libraries that read and write
            weights take no other, and the model could not be loaded. Or it lies in a folder of ours.
    """
    path = path_of(name, value)
    if not is_text(str(path)):
        raise InvalidInputError(f"{path}: a name that is not UTF-8, from which no model is loaded")
    refuse_ours(path)
    return path


def with_length(checkpoint: Checkpoint, max_length: int | None) -> Checkpoint:
    """The checkpoint with another limit on both sides; queries that have one of their own keep it.

    An index remembers the limit of documents alone: an encoder that is loaded with that has to be the same.
    """
    if max_length is None:
        return checkpoint
    if not is_integer(max_length) or max_length < 3:
        raise InvalidInputError(f"max_length must be an integer of at least 3, got {shown(max_length)}")
    if checkpoint.positions is not None and max_length > checkpoint.positions:
        raise InvalidInputError(
            f"max_length {shown(max_length)}: {checkpoint.name} takes {checkpoint.positions} tokens"
        )
    settings, query = checkpoint.settings, checkpoint.query
    if isinstance(query, Checkpoint) and query.settings.length_of_queries == settings.max_length:
        query = with_length(query, max_length)
    return replace(checkpoint, settings=replace(settings, max_length=max_length), query=query)


def phrase_settings(phrases: Any, buckets: Any, factor: Any) -> EncoderSettings:
    """Settings of phrase terms.

    Raises:
        InvalidInputError: naming what cannot be meant.
    """
    if phrases == "none":
        raise InvalidInputError("phrase_terms 'none' is not one of pairs, words")
    try:
        return EncoderSettings(phrase_terms=phrases, phrase_buckets=buckets, phrase_factor=factor)
    except CheckpointError as error:
        raise InvalidInputError(str(error)) from None
