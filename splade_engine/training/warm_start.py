"""A short, cheap first training of an inference-free encoder: towards BM25 term by term, and an ensemble.

An aligned head (`alignment.py`) knows which terms a text is about, not how much each is worth. Two signals
teach that at once:

- `TermTeacher` says for every term of every document what BM25 would store: hundreds of targets a document,
  where a ranking loss has one number per pair. After 60 steps of 32 documents the encoder is about as good
  as BM25's own weights.
- The mean of a dense encoder's and BM25's min-max scores, times 30, over all pairs of the batch (KL), with a
  little InfoNCE: what BM25 cannot know. Batches hold neighbours of one source (k-means over the dense
  embeddings of the queries), so that in-batch negatives are hard at no cost.

The term loss fades linearly so that expansion can go where the ensemble wants it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import DatasetError, InvalidInputError
from splade_engine.training import distillation, losses
from splade_engine.training.collate import pad
from splade_engine.training.default_data import Pair
from splade_engine.training.head import max_pool
from splade_engine.training.teachers import DenseTeacher, LexicalTeacher, TermTeacher, term_loss

logger = logging.getLogger(__name__)

_RAISE = 1e3  # added to the bias: keeps max_pool's relu from cutting, so that terms below zero are seen


@dataclass(frozen=True)
class WarmStartConfig:
    """The optimisation.

    Attributes:
        steps, batch_size: optimiser steps, and pairs in each.
        group: neighbours that enter a batch together.
        lr, head_lr, warmup: AdamW of the encoder and of the head; linear warm-up steps, then linear to 2 %.
        document_length, query_length: tokens.
        terms, terms_end: weight of the term loss at the start and at the end.
        kl, contrastive: weights of the ensemble's KL and of InfoNCE.
        scale: range of the ensemble's scores (30 in arXiv 2411.04403).
        clip: of the gradient's norm.
        seed: of the order.
    """

    steps: int = 200
    batch_size: int = 32
    group: int = 16
    lr: float = 1e-4
    head_lr: float = 4e-4
    warmup: int = 30
    document_length: int = 160
    query_length: int = 64
    terms: float = 0.05
    terms_end: float = 0.01
    kl: float = 1.0
    contrastive: float = 0.2
    scale: float = 30.0
    clip: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.group) < 1 or self.batch_size < 2 * self.group or self.lr <= 0:
            raise InvalidInputError(f"warm start: a setting is out of range: {self}")


def warm_start(
    model: Any,
    tokenizers: tuple[TextTokenizer, TextTokenizer],
    pairs: Sequence[Pair],
    idf: NDArray[np.float32],
    dense: DenseTeacher,
    config: WarmStartConfig | None = None,
) -> list[dict[str, float]]:
    """Train a `BertForMaskedLM` with an aligned head in place.

    Args:
        model: on the CPU or a GPU, in float32; the batches run in bfloat16.
        tokenizers: of documents and queries, cut to the lengths of the config.
        pairs: what to train on; one source per batch.
        idf: float32[V], the query table, zero for special tokens.
        dense: the dense teacher.
        config: see `WarmStartConfig`.

    Returns:
        The loss parts of every step.

    Raises:
        DatasetError: if no source has enough pairs for a batch.
    """
    config = config or WarmStartConfig()
    documents, queries = tokenizers
    device = model.cls.predictions.bias.device
    lexical = LexicalTeacher(dict.fromkeys(pair.document for pair in pairs))
    special = documents.special_ids
    term_teacher = TermTeacher(documents.vocabulary(len(idf)), idf, special)
    table = torch.from_numpy(idf).to(device)
    optimizer = _optimizer(model, config)
    rates = [group["lr"] for group in optimizer.param_groups]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    batches = neighbour_batches(pairs, dense, config)
    log: list[dict[str, float]] = []
    for step in tqdm(range(config.steps), desc="warm start", unit="step"):
        share = step / config.steps
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, (step + 1) / config.warmup) * (1 - 0.98 * share)
        batch = [pairs[i] for i in next(batches)]
        rows, _ = documents.encode([pair.document for pair in batch])
        batch = [batch[i] for i in np.argsort([len(row) for row in rows], kind="stable")]
        parts = _parts(batch, model, documents, queries, term_teacher, table, (dense, lexical), config)
        weights = {"kl": config.kl, "contrastive": config.contrastive}
        weights["terms"] = config.terms + (config.terms_end - config.terms) * share
        loss = losses.mix({k: parts[k] for k in weights}, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        optimizer.step()
        log.append({name: float(value.detach()) for name, value in parts.items()})
        if step % 10 == 9:
            logger.info("step %d: %s", step + 1, {k: round(v, 3) for k, v in log[-1].items()})
    return log


def neighbour_batches(
    pairs: Sequence[Pair], dense: DenseTeacher, config: WarmStartConfig
) -> Iterator[NDArray[np.int64]]:
    """Positions of the pairs of each batch, without end: groups of neighbouring queries of one source.

    A document occurs once in a batch, so that a query has one positive.

    Raises:
        DatasetError: if no source has two full groups.
    """
    embeddings = dense.embed([pair.query for pair in pairs]).cpu().numpy()
    sources = np.array([pair.source for pair in pairs])
    epoch = 0
    while True:
        rng = np.random.default_rng((config.seed, epoch))
        batches = []
        for source in np.unique(sources):
            groups = _groups(rng.permutation(np.flatnonzero(sources == source)), pairs, embeddings, config)
            order = rng.permutation(len(groups))
            per_batch = config.batch_size // config.group
            starts = range(0, len(order) - per_batch + 1, per_batch)
            batches += [np.concatenate([groups[i] for i in order[a : a + per_batch]]) for a in starts]
        if not batches:
            raise DatasetError(f"warm start: no source has {config.batch_size} pairs for a batch")
        for i in rng.permutation(len(batches)):
            _, first_seen = np.unique([pairs[j].document for j in batches[i]], return_index=True)
            yield batches[i][np.sort(first_seen)]
        epoch += 1


def _groups(
    members: NDArray[np.int64],
    pairs: Sequence[Pair],
    embeddings: NDArray[np.float32],
    config: WarmStartConfig,
) -> list[NDArray[np.int64]]:
    """Neighbours cut into groups; a group that repeats a document too often is left out."""
    import faiss

    points = np.ascontiguousarray(embeddings[members])
    clusters = max(1, len(members) // 64)
    kmeans = faiss.Kmeans(
        points.shape[1], clusters, niter=6, seed=config.seed + 1, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(points)
    nearest = kmeans.index.search(points, 1)[1][:, 0]
    ordered = members[np.argsort(nearest, kind="stable")]
    groups = []
    for first in range(0, len(ordered) - config.group + 1, config.group):
        group = ordered[first : first + config.group]
        if len({pairs[i].document for i in group}) >= 0.6 * config.group:
            groups.append(group)
    return groups


def _optimizer(model: Any, config: WarmStartConfig) -> torch.optim.Optimizer:
    head = [p for name, p in model.named_parameters() if name.startswith("cls.")]
    body = [p for name, p in model.named_parameters() if not name.startswith("cls.")]
    groups = [{"params": body, "lr": config.lr}, {"params": head, "lr": config.head_lr}]
    return torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.98), fused=True)


def _parts(
    batch: Sequence[Pair],
    model: Any,
    documents: TextTokenizer,
    queries: TextTokenizer,
    term_teacher: TermTeacher,
    idf: Tensor,
    teachers: tuple[DenseTeacher, LexicalTeacher],
    config: WarmStartConfig,
) -> dict[str, Tensor]:
    """The losses of one batch, whose documents come sorted by length."""
    texts, asked = [pair.document for pair in batch], [pair.query for pair in batch]
    rows, _ = documents.encode(texts)
    half = len(rows) // 2
    # two parts of similar length: a quarter fewer padded positions
    logits = torch.cat([_logits(model, part) for part in (rows[:half], rows[half:])])
    keep = torch.ones_like(idf)
    keep[torch.from_numpy(documents.special_ids).long()] = 0
    weights = torch.log1p(torch.relu(logits)) * keep
    asked_rows, _ = queries.encode(asked, special_tokens=False)
    vectors = torch.zeros_like(weights)
    for vector, row in zip(vectors, asked_rows, strict=True):
        vector[torch.from_numpy(row).long()] = 1
    scores = (vectors * idf) @ weights.T
    with torch.no_grad():
        tables = [teacher(asked, texts).to(scores.device) for teacher in teachers]
        taught = distillation.ensemble(tables, scale=config.scale)
        targets = torch.from_numpy(term_teacher(rows)).to(scores.device)
    own = torch.arange(len(batch), device=scores.device)
    return {
        "kl": losses.kl_divergence(scores, taught),
        "contrastive": losses.info_nce(scores, own),
        "terms": term_loss(logits, targets, idf),
        "terms_per_document": (weights.detach() > 0).sum(1).float().mean(),
    }


def _logits(model: Any, rows: Sequence[NDArray[np.int32]]) -> Tensor:
    """float32[B, V]: the largest logit of every term over a document's positions, below zero too."""
    bias: Tensor = model.cls.predictions.bias
    ids, mask = (tensor.to(bias.device) for tensor in pad(rows))
    with torch.autocast(bias.device.type, torch.bfloat16):
        hidden = model.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        hidden = model.cls.predictions.transform(hidden)
        weight = model.get_input_embeddings().weight
        raised: Tensor = max_pool(hidden, weight, torch.full_like(bias, _RAISE), mask)
    return raised - _RAISE + bias
