"""Cosine of a dense head's embeddings with the dense teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splade_engine.training.fields import bounded
from splade_engine.training.objective.parts.part import LossPart

if TYPE_CHECKING:
    from torch import Tensor

    from splade_engine.training.objective.batch import Batch


@dataclass(frozen=True)
class EmbedFields:
    """The dense head's loss in `[loss]`."""

    # Weight of 1 - cosine of the dense head's embeddings with the dense teacher's.
    embed: float = bounded(0.0, low=0)


class Embed(LossPart):
    """`1 - cosine`, mean over the documents."""

    name = "embed"

    def weight(self, config: EmbedFields) -> float:
        """See `LossPart`."""
        return config.embed

    def compute(self, batch: Batch, config: EmbedFields) -> Tensor | None:
        """See `LossPart`."""
        embeddings = batch.vectors.embeddings
        if embeddings is None or batch.helpers.embedder is None:
            return None
        teacher = batch.helpers.embedder()
        wanted = teacher.embed_documents(batch.inputs["document_texts"]).to(embeddings.device)
        return 1 - (embeddings.float() * wanted).sum(1).mean()
