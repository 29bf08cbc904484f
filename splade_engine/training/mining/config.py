"""`MiningConfig`: how hard negatives are found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from splade_engine.errors import InvalidInputError
from splade_engine.training.fields import MOST
from splade_engine.typed import check_types

GIVEN = "given"  # the retriever that searches nothing


@dataclass(frozen=True)
class MiningConfig:
    """How negatives are found."""

    # `bm25`, `sparse:MODEL` (folder or hub id; `sparse:default` is the bundled one) or `dense:MODEL`; several
    # take turns: the best hit of each, then the second best of each (SPLADE++'s ensemble, arXiv 2205.04733).
    # `given` alone searches nothing and takes the negatives that the rows have, to have a teacher score them.
    retriever: str | tuple[str, ...] = "sparse:default"
    # `cross:MODEL`, `dense:MODEL`, `sparse:MODEL` or `bm25`, whose scores filter false negatives and are
    # written out; empty: no filter, no scores.
    teacher: str = ""
    # Kept per query.
    negatives: int = 8
    # Hits looked at.
    depth: int = 100
    # Best hits passed over: the first ranks hold most unlabelled positives.
    skip: int = 0
    # A candidate counts as false negative where its teacher score is above (1 - relative_margin) x the
    # positive's: 0.05 is NV-Retriever's best (arXiv 2407.15831, TopK-PercPos).
    relative_margin: float = 0.05
    # Or above the positive's minus this.
    absolute_margin: float = 0.0
    # `top` takes the best ones, `random` draws among the candidates.
    sampling: Literal["top", "random"] = "top"
    # Of the draws.
    seed: int = 42
    # Write texts beside the ids (the file trains by itself), else ids only.
    texts: bool = True
    # Tokens per text for dense models.
    max_length: int = 256

    def __post_init__(self) -> None:
        check_types(self, "mining: ", joined=True)
        for retriever in self.retrievers or ("",):
            kind, _, model = retriever.partition(":")
            if retriever not in ("bm25", GIVEN) and not (kind in ("sparse", "dense") and model):
                raise InvalidInputError(
                    f"retriever {retriever!r}: expected bm25, sparse:MODEL, dense:MODEL or {GIVEN}"
                )
        if len(set(self.retrievers)) < len(self.retrievers):
            raise InvalidInputError(f"retriever {', '.join(self.retrievers)}: one of them is there twice")
        kind, _, model = self.teacher.partition(":")
        if self.teacher not in ("", "bm25") and not (kind in ("cross", "dense", "sparse") and model):
            raise InvalidInputError(
                f"teacher {self.teacher!r}: expected cross:MODEL, dense:MODEL, sparse:MODEL or bm25"
            )
        if GIVEN in self.retrievers and (len(self.retrievers) > 1 or not self.teacher):
            raise InvalidInputError(
                f"retriever {GIVEN}: takes the negatives as they are, so it goes with a teacher that scores "
                "them and with no other retriever"
            )
        counts = (self.negatives, self.depth, self.skip + 1, self.max_length, abs(self.seed) + 1)
        if min(counts) < 1 or max(counts) > MOST:
            raise InvalidInputError(
                f"mining: negatives and depth must be at least 1, as max_length, skip at least 0, none "
                f"above {MOST}"
            )
        if not 0 <= self.relative_margin <= 1 or not 0 <= self.absolute_margin < math.inf:
            raise InvalidInputError(
                "mining: relative_margin lies between 0 and 1, absolute_margin is not negative"
            )
        if self.sampling not in ("top", "random"):
            raise InvalidInputError(f"sampling {self.sampling!r} is not one of top, random")

    @property
    def retrievers(self) -> tuple[str, ...]:
        """All retrievers."""
        return (self.retriever,) if isinstance(self.retriever, str) else tuple(self.retriever)
