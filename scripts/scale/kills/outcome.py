"""`Outcome`: what a stage has come to; `compared`: documents beside the index of one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from splade_engine.index import SparseIndex
from splade_engine.vectors import SparseVectors


@dataclass
class Outcome:
    """What a stage has come to, over all its rounds."""

    rounds: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    # documents or answers that were compared
    compared: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    # errors and broken connections: the same call was made, or the same query asked, once more
    again: int = 0
    generations: int = 0
    seconds: float = 0.0

    def add(self, other: Outcome) -> None:
        """Count another round."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        return not (self.lost or self.doubled or self.wrong)


def compared(
    ids: Sequence[str],
    vectors: SparseVectors,
    texts: Sequence[str] | None,
    one: SparseIndex,
    encoded: SparseVectors | None = None,
) -> Outcome:
    """Documents in any order beside the index of all: what is missing, what is there twice, what differs.

    Args:
        ids: of the documents.
        vectors: theirs.
        texts: theirs; None where they are not to be compared.
        one: the index of all, from which nothing was deleted.
        encoded: the vectors of its documents before the index rounded them; None: as it holds them.
    """
    counts = Counter(ids)
    ordinal = {id: number for number, id in enumerate(one.ids())}
    rows = [row for row, id in enumerate(ids) if id in ordinal]
    ordinals = [ordinal[ids[row]] for row in rows]
    wanted = one.vectors(ordinals) if encoded is None else encoded[ordinals]
    payload = one.payload(ordinals)
    wrong = len(ids) - len(rows)
    for (terms, weights), row, kept, stored in zip(vectors[rows], rows, wanted, payload, strict=True):
        same = np.array_equal(terms, kept[0]) and np.array_equal(weights, kept[1])
        wrong += not (same and (texts is None or texts[row] == stored["text"]))
    return Outcome(
        compared=len(ids),
        lost=sum(id not in counts for id in ordinal),
        doubled=sum(count - 1 for count in counts.values()),
        wrong=wrong,
    )
