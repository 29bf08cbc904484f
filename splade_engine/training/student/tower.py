"""`Tower`: one encoder in training, a backbone and what turns its states into terms."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from splade_engine.encoder.backbone import Backbone
from splade_engine.encoder.fast.dense_head import DenseHead
from splade_engine.encoder.folders.ours import write_model
from splade_engine.encoder.kinds import Echo, Kind, MaskedLm, Scalar
from splade_engine.encoder.kinds.scalar import DEEP_IMPACT, save_scalar
from splade_engine.encoder.phrases import WordTerms
from splade_engine.encoder.settings import EncoderSettings, Pooling
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.training.recipe.sections import ModelConfig
from splade_engine.training.student.activations import activate, floor_of, keep_top_k
from splade_engine.training.student.head import lexical_pool, max_pool, mean_pool, sum_pool
from splade_engine.training.student.lora import merge_lora

_KINDS: dict[str, Kind] = {
    "mlm": MaskedLm(),
    "echo": Echo(),
    "scalar": Scalar(query_pooling="sum"),
    "deepimpact": Scalar(DEEP_IMPACT),
}
# tokens of padding that a further group must save on a CPU: each costs a pass over the weights
PADDING_WORTH = 512


class Tower(nn.Module):
    """One encoder: a backbone and its pooling.

    Args:
        backbone: body, head transform and decoder.
        config: the kind, low-rank updates.
        settings: how vectors are made: pooling, activation, special tokens, terms kept.
        special_ids: terms that are zero in every vector where `settings.special_tokens` is `zero`.
    """

    def __init__(
        self, backbone: Backbone, config: ModelConfig, settings: EncoderSettings, special_ids: Sequence[int]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.settings = settings
        # `relu_gelu` differs from relu in its gradient, so only while training
        self.activation = settings.activation if config.activation == "auto" else config.activation
        self.words: WordTerms | None = None  # whole words as terms behind the vocabulary
        if settings.phrase_terms == "words":
            self.words = WordTerms(backbone.n_terms, settings.phrase_buckets)
        keep = torch.ones(self.n_terms)
        if settings.special_tokens == "zero":
            keep[[i for i in special_ids if i < backbone.n_terms]] = 0
        self.register_buffer("keep", keep, persistent=False)
        self.tok_proj: nn.Module | None = None
        if config.kind in ("scalar", "deepimpact"):
            width = backbone.decoder_weight.shape[1]
            last = nn.Linear(width, 1)
            # every token starts with a weight near 1: the match of plain words is the point to start from
            nn.init.normal_(last.weight, std=0.02)
            nn.init.ones_(last.bias)
            two = config.kind == "deepimpact"
            self.tok_proj = nn.Sequential(nn.Linear(width, width), nn.ReLU(), last) if two else last
        self.dense_head: DenseHead | None = None  # of the base, or fitted to a dense teacher (`dense_fit.py`)

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary, with the terms of whole words behind it."""
        return self.backbone.n_terms + (0 if self.words is None else self.words.buckets)

    @property
    def kept(self) -> Tensor:
        """float[V]: 0 for the special tokens that are zeroed, else 1."""
        keep: Tensor = self.get_buffer("keep")
        return keep

    def forward(
        self, ids: Tensor, mask: Tensor, pool: Tensor, *, top_k: int | None = None, summed: bool = False
    ) -> Tensor:
        """Term weights float[B, V] of int64[B, L] token ids; `pool` marks the positions that count.

        `top_k` says how many terms a text keeps, None for all. `summed` adds up the weights of a token that
        is there twice, where tokens are weighed one by one.
        """
        return self.activated(*self.outputs(ids, mask, pool, summed=summed), top_k=top_k)

    def outputs(
        self,
        ids: Tensor,
        mask: Tensor,
        pool: Tensor,
        wanted: Tensor | None = None,
        *,
        summed: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What the activation is applied to, float[B, V]; with a dense head its embeddings too, float[B, E].

        It is below zero only for bool[B, V] `wanted` terms.
        """
        if ids.device.type == "cpu" and len(length_groups(sorted(mask.sum(1).tolist()))) > 1:
            return self._by_length(ids, mask, pool, wanted, summed)
        return self._pooled(ids, mask, pool, wanted, summed)

    def activated(
        self, logits: Tensor, embeddings: Tensor | None = None, *, top_k: int | None = None
    ) -> Tensor:
        """Term weights float[B, V] of `outputs`, the `top_k` heaviest of each text, None for all.

        Light ones are cut in evaluation mode only: a weight that is zero gets no gradient to grow by.
        """
        settings = self.settings
        summed = settings.pooling == "sum" and self.tok_proj is None  # activated before the sum
        if summed or self.tok_proj is not None:
            weights = logits
        elif self.activation == "sparsemax":  # what is dropped takes no part in the mass
            weights = activate(logits * self.kept, self.activation, settings.sparsemax_mass)
        else:
            weights = activate(logits, self.activation)
        if self.dense_head is not None and embeddings is not None:
            # ranking losses do not reach it: they bend the embeddings to a batch's order, and within 60 steps
            # the cosine with the teacher's fell from .80 to .53
            weights = weights + self.dense_head(embeddings.detach()).to(weights.dtype)
        weights = weights * self.kept
        if settings.min_weight and not self.training:
            weights = weights * (weights >= settings.min_weight)
        return keep_top_k(weights, top_k) if top_k else weights

    def _by_length(
        self, ids: Tensor, mask: Tensor, pool: Tensor, wanted: Tensor | None, summed: bool
    ) -> tuple[Tensor, Tensor | None]:
        lengths = mask.sum(1)
        order = torch.argsort(lengths, stable=True)
        parts = []
        for first, last in length_groups(lengths[order].tolist()):
            rows = order[first:last]
            width = max(1, int(lengths[rows[-1]]))
            some = None if wanted is None else wanted[rows]
            short = (ids[rows, :width], mask[rows, :width], pool[rows, :width])
            parts.append(self._pooled(*short, some, summed))
        back = torch.argsort(order)
        logits = torch.cat([part for part, _ in parts])[back]
        embeddings = [part for _, part in parts if part is not None]
        return logits, torch.cat(embeddings)[back] if embeddings else None

    def _pooled(
        self, ids: Tensor, mask: Tensor, pool: Tensor, wanted: Tensor | None, summed: bool
    ) -> tuple[Tensor, Tensor | None]:
        b = self.backbone
        hidden = b.hidden(ids, mask.long())
        if self.tok_proj is not None:
            scores = F.relu(self.tok_proj(hidden).squeeze(-1))
            if pool.ndim == 3:  # word by word
                first, shares, ids = pool.unbind(-1)
                scores, pool = scores.gather(1, first) / shares.clamp(min=1), shares > 0
            return lexical_pool(scores, ids, pool, self.n_terms, summed=summed), None
        embeddings = None
        if self.dense_head is not None:
            embeddings = self.dense_head.embed(mean_pool(hidden, mask))
        states = b.transform(hidden)
        if self.settings.pooling == "sum":
            logits = sum_pool(states, b.decoder_weight, b.decoder_bias, pool, self.activation)
        else:
            floor = floor_of(self.activation) if self.training else 0.0
            logits = max_pool(states, b.decoder_weight, b.decoder_bias, pool, wanted, floor)
        return logits, embeddings

    def write(
        self,
        folder: Path,
        tokenizer: TextTokenizer,
        table: NDArray[np.float32] | None = None,
        *,
        queries: bool = False,
        phrase_factor: float | None = None,
    ) -> None:
        """Write this encoder as a model folder of our own layout; low-rank updates are merged.

        Args:
            folder: empty.
            tokenizer: of its texts.
            table: float32[V], the query table; None for none.
            queries: it encodes queries alone.
            phrase_factor: that was learned; None leaves the settings' own.
        """
        config, head = self.config, self.tok_proj
        settings = self.settings
        if phrase_factor is not None:
            settings = replace(settings, phrase_factor=phrase_factor)
        if head is not None:
            pooling: Pooling = "sum" if queries else settings.pooling
            settings = replace(settings, activation="relu", pooling=pooling)
        model: Any = self.backbone.model
        if config.lora_rank:
            model = deepcopy(model)
            merge_lora(model)
        write_model(
            folder,
            kind=_KINDS[config.kind],
            settings=settings,
            tokenizer=tokenizer,
            weights=model.save_pretrained if head is None else partial(_save_head, model, head, config.kind),
            query_weights=table,
            dense_head=self.dense_head,
        )


def _save_head(model: Any, head: nn.Module, kind: str, folder: Path) -> None:
    scalar = _KINDS[kind]
    assert isinstance(scalar, Scalar)
    save_scalar(model, head, folder, scalar.head_prefix)


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
