"""What an objective sees of a micro-batch: the student's vectors, and what the teachers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor


class Teacher(Protocol):
    """Scores texts."""

    def __call__(self, queries: Sequence[str], documents: Sequence[str], /) -> Tensor:
        """float32[n, m] of n queries with m documents."""
        ...


@runtime_checkable
class PairTeacher(Protocol):
    """A teacher that reads query and document together, and so pays for every pair (a cross-encoder)."""

    def pairs(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[m] of m queries, each with the document in its place."""
        ...


@dataclass(frozen=True)
class Vectors:
    """The vectors of one micro-batch: N queries, G documents each, M documents in all, V terms."""

    # float[N, V].
    queries: Tensor
    # float[N, G, V]; rows of missing documents are zero.
    documents: Tensor
    # bool[N, G], False for the missing documents.
    valid: Tensor
    # bool[N, N * G], documents that are the query's positive under another number.
    same: Tensor
    # False for a fixed or learned table, whose rows no penalty reaches.
    learned_queries: bool
    # float[M, V] of the documents that are there, before the activation; None where there are none.
    logits: Tensor | None = None
    # float[M, E] of a dense head; None where there is none.
    embeddings: Tensor | None = None
    # Loss parts of the encoder kind itself (a sparse autoencoder's reconstruction), weighted already.
    extra: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Teaching:
    """What the teachers say; None where they say nothing."""

    # float[N, G] scores of each query's own documents, NaN where unknown.
    own: Tensor | None = None
    # float[N, N * G] scores of every pair, when teachers score on the fly.
    batch: Tensor | None = None
    # float[N, N * G] scores of the moving average of the student.
    average: Tensor | None = None
