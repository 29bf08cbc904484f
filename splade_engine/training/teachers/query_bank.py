"""`QueryBank`: more queries for every batch, at next to no cost.

An inference-free student looks its queries up in a table, so a batch of documents can be scored with any
number of queries: what a step costs is its documents. The bank holds the queries of all sources with their
embeddings by the dense teacher, and finds for each document of a batch those that the teacher places near it,
from the nearest one out to loosely related ones. Their own documents are mostly not in the batch, so the
teachers' order among the others is all there is to learn: no query is answered by a copied phrase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.errors import DatasetError
from splade_engine.training.teachers.dense import DenseTeacher

FURTHEST = 64  # rank of the most distant query that a document brings along


def ranks(count: int, furthest: int = FURTHEST) -> NDArray[np.int64]:
    """int64[count] ranks from 0 to `furthest`, each once, a geometric series: dense at the near end."""
    if count == 1:
        return np.zeros(1, np.int64)
    spaced = np.floor((furthest + 1) ** (np.arange(count) / (count - 1)) - 1).astype(np.int64)
    return np.maximum(spaced, np.arange(count))


class QueryBank:
    """Queries and where the dense teacher places them.

    Args:
        queries: texts; equal ones count once.
        teacher: embeds them now, and every batch's documents later.
        per_document: queries that each document of a batch brings along.

    Raises:
        DatasetError: if there is no query.
    """

    def __init__(self, queries: Iterable[str], teacher: DenseTeacher, per_document: int) -> None:
        self.texts = list(dict.fromkeys(queries))
        if not self.texts:
            raise DatasetError("loss.bank: the training data has no queries")
        self.teacher = teacher
        self.embeddings = teacher.embed(self.texts, query=True)
        wanted = min(per_document, len(self.texts))
        self.ranks = torch.from_numpy(ranks(wanted, max(min(FURTHEST, len(self.texts) - 1), wanted - 1)))

    def __len__(self) -> int:
        return len(self.texts)

    @torch.no_grad()
    def near(self, documents: Sequence[str]) -> tuple[list[str], Tensor]:
        """The queries that a batch of documents brings along, each once, in the bank's order.

        Args:
            documents: M texts.

        Returns:
            Their texts, and the teacher's scores float32[queries, M], on its device.
        """
        scores = self.embeddings @ self.teacher.embed_documents(documents).T
        depth = int(self.ranks[-1]) + 1
        nearest = scores.topk(depth, dim=0).indices[self.ranks.to(scores.device)]
        chosen = torch.unique(nearest.flatten())
        return [self.texts[i] for i in chosen.tolist()], scores[chosen]
