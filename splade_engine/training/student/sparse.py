"""`SparseStudent`, the trainable encoder.

It has a document side and a query side, each a `Tower`, or a table for queries.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from splade_engine.encoder.backbone import Backbone
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.activations import keep_top_k
from splade_engine.training.student.pairs import Pairs
from splade_engine.training.student.student import Student
from splade_engine.training.student.tower import Tower


class SparseStudent(Student):
    """Document tower and query side.

    Args:
        documents: encodes documents.
        queries: a tower of its own; None where queries share the document tower or use a table.
        table: float[V] query weights (inference-free), whole words weigh 1; None where queries are encoded.
        learn_table: train the table.
        pairs: terms of neighbouring tokens behind all others; None for none.
    """

    def __init__(
        self,
        documents: Tower,
        queries: Tower | None = None,
        table: Tensor | None = None,
        learn_table: bool = False,
        pairs: Pairs | None = None,
    ) -> None:
        super().__init__()
        self.documents = documents
        self.queries = queries
        if table is not None:
            more = documents.n_terms - len(table)  # whole words behind the vocabulary
            self.table = nn.Parameter(F.pad(table.float(), (0, more), value=1.0), requires_grad=learn_table)
        self.pairs = pairs

    @property
    def settings(self) -> ModelConfig:
        """The configuration of the document tower."""
        return self.documents.config

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary, with the terms of words or pairs behind it."""
        return self.documents.n_terms + (0 if self.pairs is None else self.pairs.terms.buckets)

    def query_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[N, V]. From a table: `[t in query] * relu(table_t)`, special tokens zero.

        As in arXiv 2411.04403. With `query_counts` a token counts as often as it stands in the query.
        """
        if self.table is None:
            tower = self.documents if self.queries is None else self.queries
            # uniCOIL: a token that is there twice counts twice in a query, and once in a document
            few = tower.settings.kept_of_queries
            out: Tensor = tower(ids, mask, pool, summed=self.settings.kind == "scalar", top_k=few)
            return self._with_pairs(out, out, ids, mask, few)
        settings = self.documents.settings
        times = self.table.new_zeros((len(ids), len(self.table)))
        how = "sum" if settings.query_counts else "amax"
        times.scatter_reduce_(1, ids, pool.to(times.dtype), how)  # the padding (id 0) brings 0
        table = F.relu(self.table) * self.documents.kept
        weights = times * table
        few = settings.kept_of_queries
        if self.pairs is None:
            return keep_top_k(weights, few) if few else weights
        return self._with_pairs(weights, table.expand_as(weights), ids, mask, few)

    def document_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[M, V]."""
        few = self.documents.settings.top_k
        out: Tensor = self.documents(ids, mask, pool, top_k=few)
        return self._with_pairs(out, out, ids, mask, few)

    def _with_pairs(
        self, vectors: Tensor, weights: Tensor, ids: Tensor, mask: Tensor, top_k: int | None
    ) -> Tensor:
        """The vectors with their texts' pairs, where the student has such terms."""
        if self.pairs is None:
            return vectors
        out: Tensor = self.pairs(vectors, weights, ids, mask, top_k)
        return out

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        query_pool: Tensor,
        document_ids: Tensor,
        document_mask: Tensor,
        document_pool: Tensor,
        slots: Tensor,
        same: Tensor,
        group: int,
        targets: Tensor | None = None,
    ) -> Vectors:
        """The vectors of a batch as `Collator` makes it."""
        queries = self.query_vectors(query_ids, query_mask, query_pool)
        wanted = None if targets is None else targets > 0
        logits, embeddings = self.documents.outputs(document_ids, document_mask, document_pool, wanted)
        few = self.documents.settings.top_k
        rows = self.documents.activated(logits, embeddings, top_k=few)
        rows = self._with_pairs(rows, rows, document_ids, document_mask, few)
        n = len(query_ids)
        if len(slots) == n * group:  # a full grid, in order: no copy
            grid, valid = rows, torch.ones(n * group, dtype=torch.bool, device=rows.device)
        else:
            grid = rows.new_zeros((n * group, rows.shape[1])).index_copy(0, slots, rows)
            valid = torch.zeros(n * group, dtype=torch.bool, device=rows.device)
            valid[slots] = True
        return Vectors(
            queries=queries,
            documents=grid.view(n, group, -1),
            valid=valid.view(n, group),
            same=same,
            learned_queries=not self.inference_free,
            logits=logits,
            embeddings=embeddings,
        )

    def write(self, folder: Path, documents: TextTokenizer, queries: TextTokenizer) -> None:
        """See `Student`."""
        factor = None if self.pairs is None else self.pairs.factor
        if self.queries is not None:
            for name, tower, tokenizer in (
                ("document", self.documents, documents),
                ("query", self.queries, queries),
            ):
                (folder / name).mkdir()
                tower.write(folder / name, tokenizer, queries=name == "query", phrase_factor=factor)
            return
        table: NDArray[np.float32] | None = None
        if self.table is not None:
            weights: Tensor = self.table.detach().float().clamp(min=0).cpu()
            weights = weights * self.documents.kept.cpu()
            table = weights[: self.documents.backbone.n_terms].numpy()
        self.documents.write(folder, documents, table, phrase_factor=factor)

    def average_copy(self) -> SparseStudent:
        """See `Student`.

        The backbone is rebuilt around the copied model: its head transform may be a closure over the original
        one.
        """

        def copied(tower: Tower | None) -> Tower | None:
            if tower is None:
                return None
            out = Tower(Backbone(deepcopy(tower.backbone.model)), tower.config, tower.settings, ())
            out.register_buffer("keep", tower.kept.clone(), persistent=False)
            if tower.tok_proj is not None:
                out.tok_proj = deepcopy(tower.tok_proj)
            out.dense_head = deepcopy(tower.dense_head)
            return out

        documents = copied(self.documents)
        assert documents is not None
        table = None if self.table is None else self.table.data
        twin = SparseStudent(documents, copied(self.queries), table, pairs=deepcopy(self.pairs))
        twin.requires_grad_(False)
        return twin.to(next(self.parameters()).device).eval()
