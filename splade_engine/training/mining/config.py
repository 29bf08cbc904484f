"""`MiningConfig`: how hard negatives are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from splade_engine.errors import InvalidInputError


@dataclass(frozen=True)
class MiningConfig:
    """How negatives are found."""

    # `sparse:MODEL` (folder or hub id; `sparse:default` is the bundled one) or `dense:MODEL`.
    retriever: str = "sparse:default"
    # `dense:MODEL`, `sparse:MODEL` or `bm25`, whose scores filter false negatives and are written out; empty:
    # no filter, no scores.
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
        kind, _, model = self.retriever.partition(":")
        if kind not in ("sparse", "dense") or not model:
            raise InvalidInputError(f"retriever {self.retriever!r}: expected sparse:MODEL or dense:MODEL")
        if self.negatives < 1 or self.depth < 1 or self.skip < 0:
            raise InvalidInputError("mining: negatives and depth must be at least 1, skip at least 0")
        if not 0 <= self.relative_margin <= 1 or not self.absolute_margin >= 0:
            raise InvalidInputError(
                "mining: relative_margin lies between 0 and 1, absolute_margin is not negative"
            )
        if self.sampling not in ("top", "random"):
            raise InvalidInputError(f"sampling {self.sampling!r} is not one of top, random")
