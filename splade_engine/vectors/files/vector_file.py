"""`VectorFile`: what a file of vectors holds, whatever its layout."""

from __future__ import annotations

from dataclasses import dataclass

from splade_engine.vectors.sparse_vectors import SparseVectors

NO_CHECKSUM = "carries no checksum: damage that leaves it readable cannot be told"


@dataclass(frozen=True)
class VectorFile:
    """What a vector file holds."""

    vectors: SparseVectors
    # `ids[i]` names row i; None where the format has no ids
    ids: list[str] | None
    # token of each term id, where the file names tokens
    vocabulary: list[str] | None = None
    # record of the encoder that made the vectors; None where the file does not say
    encoder: dict[str, str | int] | None = None
