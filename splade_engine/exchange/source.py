"""`Source`: a format that vectors are imported from, and `Imported`, what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Options:
    """What a reader may have to be told."""

    # token of each term, of the encoder that the vectors are of; None: of what the file names
    vocabulary: Sequence[str] | None = None
    # size of the vocabulary, where terms are numbers; None: as the file says, or one more than the largest
    n_terms: int | None = None
    # what weights were multiplied by; None: as the format, or the file, says
    scale: float | None = None
    # a file of ids, one a line, for formats that have none
    ids: Path | None = None


@dataclass(frozen=True)
class Imported:
    """Vectors as they came in."""

    vectors: SparseVectors
    # None where the format has none
    ids: list[str] | None
    # stored beside each document: title, text, metadata; None where there is nothing
    payload: pa.Table | None = None
    # token of each term, where the file names tokens
    vocabulary: list[str] | None = None
    # record of the encoder, where the file says, or the record of the export of ours that it lies in
    encoder: dict[str, str | int] | None = None
    # what the reader wants to be known: "122 entries of tokens that the vocabulary lacks"
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Source:
    """A format, one row of the table in `sources/__init__.py`."""

    # as in `import --from`
    name: str
    read: Callable[[Path, Options], Imported]
    # names of files that are of this format unless told otherwise
    suffixes: tuple[str, ...] = ()
