"""What an index or an interrupted encoding remembers of its encoder, and when another one may take its place.

The record is the encoder's fingerprint (`SparseEncoder.fingerprint`) and where it was loaded from. Two
encoders are the same when everything but name and place agrees: a copy under another name is no other
encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from splade_engine.errors import EncoderMismatchError
from splade_engine.vectors.encoder_record import SOURCE, describe_difference, same_encoder

if TYPE_CHECKING:
    from splade_engine.encoder import SparseEncoder

__all__ = [
    "BUNDLED",
    "SOURCE",
    "check_encoder",
    "describe_difference",
    "encoder_record",
    "fingerprint_like",
    "refuse_other",
    "same_encoder",
]

logger = logging.getLogger(__name__)

BUNDLED = "bundled"  # its value for the bundled encoder
VERSION = "version"  # key of a fingerprint: how its hash was made; records of earlier releases lack it

UNVERIFIED = (
    "written by an earlier release: weights and main settings of the encoder are those it was built with; "
    "that its lower-casing, truncation side, dense pooling and second head are too cannot be verified"
)


class FingerprintedEncoder(Protocol):
    """Whatever says what makes two encoders give the same vectors."""

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""

    def fingerprint(self) -> dict[str, str | int]:
        """See `SparseEncoder.fingerprint`."""


def encoder_record(encoder: SparseEncoder, n_terms: int | None = None) -> dict[str, str | int]:
    """What an index remembers of its encoder: the fingerprint, and what to load it from.

    Raises:
        EncoderMismatchError: if the vectors have another number of terms than the encoder.
    """
    if n_terms not in (None, encoder.n_terms):
        raise EncoderMismatchError(f"{encoder.name}: {encoder.n_terms} terms, but the vectors have {n_terms}")
    return {**encoder.fingerprint(), SOURCE: encoder.source or BUNDLED}


def fingerprint_like(record: Mapping[str, str | int], encoder: FingerprintedEncoder) -> dict[str, str | int]:
    """The encoder's fingerprint in the version of a record: earlier releases wrote one that sees less."""
    given = encoder.fingerprint()
    earlier = getattr(encoder, "fingerprint_1", None)
    return earlier() if VERSION in given and VERSION not in record and earlier is not None else given


def check_encoder(
    path: Path, record: Mapping[str, str | int] | None, encoder: SparseEncoder, n_terms: int
) -> None:
    """Refuse an encoder that did not make the vectors of the index; say where that cannot be known.

    Raises:
        EncoderMismatchError: naming what differs.
    """
    refuse_other(path, record, encoder, n_terms)
    if record is not None and VERSION not in record:
        logger.warning("%s: %s", path, UNVERIFIED)


def refuse_other(
    path: Path, record: Mapping[str, str | int] | None, encoder: FingerprintedEncoder, n_terms: int
) -> None:
    """Refuse an encoder that did not make the vectors of the index, of which another may be built meanwhile.

    Raises:
        EncoderMismatchError: naming what differs.
    """
    if record is None:
        if encoder.n_terms != n_terms:
            raise EncoderMismatchError(f"{path}: {n_terms} terms, but the encoder has {encoder.n_terms}")
        return
    given = fingerprint_like(record, encoder)
    if not same_encoder(record, given):
        what = describe_difference(record, given)
        raise EncoderMismatchError(
            f"{path}: was built with another encoder ({what}); name that one, or rebuild"
        )
