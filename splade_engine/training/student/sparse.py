"""`SparseStudent`, the trainable encoder.

It has a document side, a query side, and what turns their states into terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from splade_engine.encoder.backbone import Backbone
from splade_engine.encoder.fast.dense_head import DenseHead
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.activations import activate, floor_of, keep_top_k
from splade_engine.training.student.head import lexical_pool, max_pool, mean_pool, sum_pool
from splade_engine.training.student.student import Student

# tokens of padding that a further group must save on a CPU: each costs a pass over the weights
PADDING_WORTH = 512


class Tower(nn.Module):
    """One encoder: a backbone and its pooling.

    Args:
        backbone: body, head transform and decoder.
        config: pooling, activation, kind, special tokens.
        special_ids: terms that are zero in every vector where `config.special_tokens` is `zero`.
        top_k: terms kept per vector; 0 keeps all.
    """

    def __init__(
        self, backbone: Backbone, config: ModelConfig, special_ids: Sequence[int], top_k: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.top_k = top_k
        n_terms = backbone.n_terms
        keep = torch.ones(n_terms)
        if config.special_tokens == "zero":
            keep[[i for i in special_ids if i < n_terms]] = 0
        self.register_buffer("keep", keep, persistent=False)
        self.tok_proj: nn.Linear | None = None
        if config.kind == "scalar":
            self.tok_proj = nn.Linear(backbone.decoder_weight.shape[1], 1)
            # every token starts with a weight near 1: the match of plain words is the point to start from
            nn.init.normal_(self.tok_proj.weight, std=0.02)
            nn.init.ones_(self.tok_proj.bias)
        self.dense_head: DenseHead | None = None  # of the base, or fitted to a dense teacher (`dense_fit.py`)

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self.backbone.n_terms

    @property
    def kept(self) -> Tensor:
        """float[V]: 0 for the special tokens that are zeroed, else 1."""
        keep: Tensor = self.get_buffer("keep")
        return keep

    def forward(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """Term weights float[B, V] of int64[B, L] token ids; `pool` marks the positions that count."""
        return self.activated(*self.outputs(ids, mask, pool))

    def outputs(
        self, ids: Tensor, mask: Tensor, pool: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What the activation is applied to, float[B, V]; with a dense head its embeddings too, float[B, E].

        It is below zero only for bool[B, V] `wanted` terms.
        """
        if ids.device.type == "cpu" and len(length_groups(sorted(mask.sum(1).tolist()))) > 1:
            return self._by_length(ids, mask, pool, wanted)
        return self._pooled(ids, mask, pool, wanted)

    def activated(self, logits: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Term weights float[B, V] of `outputs`."""
        summed = self.config.pooling == "sum" and self.tok_proj is None  # activated before the sum
        weights = logits if summed or self.tok_proj is not None else activate(logits, self.config.activation)
        if self.dense_head is not None and embeddings is not None:
            # ranking losses do not reach it: they bend the embeddings to a batch's order, and within 60 steps
            # the cosine with the teacher's fell from .80 to .53
            weights = weights + self.dense_head(embeddings.detach()).to(weights.dtype)
        weights = weights * self.kept
        return keep_top_k(weights, self.top_k) if self.top_k else weights

    def _by_length(
        self, ids: Tensor, mask: Tensor, pool: Tensor, wanted: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        lengths = mask.sum(1)
        order = torch.argsort(lengths, stable=True)
        parts = []
        for first, last in length_groups(lengths[order].tolist()):
            rows = order[first:last]
            width = max(1, int(lengths[rows[-1]]))
            some = None if wanted is None else wanted[rows]
            parts.append(self._pooled(ids[rows, :width], mask[rows, :width], pool[rows, :width], some))
        back = torch.argsort(order)
        logits = torch.cat([part for part, _ in parts])[back]
        embeddings = [part for _, part in parts if part is not None]
        return logits, torch.cat(embeddings)[back] if embeddings else None

    def _pooled(
        self, ids: Tensor, mask: Tensor, pool: Tensor, wanted: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        b = self.backbone
        hidden = b.hidden(ids, mask.long())
        if self.tok_proj is not None:
            scores = F.relu(self.tok_proj(hidden).squeeze(-1))
            return lexical_pool(scores, ids, pool, self.n_terms), None
        embeddings = None
        if self.dense_head is not None:
            embeddings = self.dense_head.embed(mean_pool(hidden, mask))
        states = b.transform(hidden)
        if self.config.pooling == "sum":
            logits = sum_pool(states, b.decoder_weight, b.decoder_bias, pool, self.config.activation)
        else:
            floor = floor_of(self.config.activation) if self.training else 0.0
            logits = max_pool(states, b.decoder_weight, b.decoder_bias, pool, wanted, floor)
        return logits, embeddings


def length_groups(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut sorted lengths into groups that are padded to their own longest; (first, last) of every group.

    The cut is the one that saves most padding, then again in both halves, as long as each saves
    `PADDING_WORTH` tokens.
    """
    best, cut = PADDING_WORTH - 1, 0
    for i in range(1, len(lengths)):
        saved = i * (lengths[-1] - lengths[i - 1])
        if saved > best:
            best, cut = saved, i
    if not cut:
        return [(0, len(lengths))]
    return length_groups(lengths[:cut]) + [(a + cut, b + cut) for a, b in length_groups(lengths[cut:])]


class SparseStudent(Student):
    """Document tower and query side.

    Args:
        documents: encodes documents.
        queries: a tower of its own; None where queries share the document tower or use a table.
        table: float[V] query weights (inference-free); None where queries are encoded.
        learn_table: train the table.
    """

    def __init__(
        self,
        documents: Tower,
        queries: Tower | None = None,
        table: Tensor | None = None,
        learn_table: bool = False,
    ) -> None:
        super().__init__()
        self.documents = documents
        self.queries = queries
        if table is not None:
            self.table = nn.Parameter(table.float().clone(), requires_grad=learn_table)

    @property
    def settings(self) -> ModelConfig:
        """The configuration of the document tower."""
        return self.documents.config

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self.documents.n_terms

    def query_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[N, V]. From a table: `[t in query] * relu(table_t)`, special tokens zero.

        As in arXiv 2411.04403.
        """
        if self.table is None:
            tower = self.documents if self.queries is None else self.queries
            out: Tensor = tower(ids, mask, pool)
            return out
        present = self.table.new_zeros((len(ids), self.n_terms))
        present.scatter_reduce_(1, ids, pool.to(present.dtype), "amax")  # the padding (id 0) brings 0
        weights = (present > 0) * F.relu(self.table) * self.documents.kept
        return keep_top_k(weights, self.settings.query_top_k) if self.settings.query_top_k else weights

    def document_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[M, V]."""
        out: Tensor = self.documents(ids, mask, pool)
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
        rows = self.documents.activated(logits, embeddings)
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

    def average_copy(self) -> SparseStudent:
        """See `Student`.

        The backbone is rebuilt around the copied model: its head transform may be a closure over the original
        one.
        """

        def copied(tower: Tower | None) -> Tower | None:
            if tower is None:
                return None
            out = Tower(Backbone(deepcopy(tower.backbone.model)), tower.config, (), tower.top_k)
            out.register_buffer("keep", tower.kept.clone(), persistent=False)
            if tower.tok_proj is not None:
                out.tok_proj = deepcopy(tower.tok_proj)
            out.dense_head = deepcopy(tower.dense_head)
            return out

        documents = copied(self.documents)
        assert documents is not None
        twin = SparseStudent(documents, copied(self.queries), None if self.table is None else self.table.data)
        twin.requires_grad_(False)
        return twin.to(next(self.parameters()).device).eval()
