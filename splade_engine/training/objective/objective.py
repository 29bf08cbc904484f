"""From vectors to one number: the loss parts and penalties that a recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from splade_engine.errors import InvalidInputError
from splade_engine.training.objective import distillation, losses, regularizers
from splade_engine.training.objective.schedules import ramp
from splade_engine.training.recipe.sections import LossConfig, Penalty, RegularizerConfig


@dataclass(frozen=True)
class Vectors:
    """The vectors of one micro-batch.

    Attributes:
        queries: float[N, V].
        documents: float[N, G, V]; rows of missing documents are zero.
        valid: bool[N, G], False for the missing ones.
        same: bool[N, N * G], documents that are the query's positive under another number.
        learned_queries: False for a fixed or learned table, whose rows no penalty reaches.
        logits: float[M, V] of the documents that are there, before the activation; None where there are none.
        embeddings: float[M, E] of a dense head; None where there is none.
        extra: loss parts of the encoder kind itself (a sparse autoencoder's reconstruction), weighted
        already.
    """

    queries: Tensor
    documents: Tensor
    valid: Tensor
    same: Tensor
    learned_queries: bool
    logits: Tensor | None = None
    embeddings: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Teaching:
    """What the teachers say; None where they say nothing.

    Attributes:
        own: float[N, G] scores of each query's own documents, NaN where unknown.
        batch: float[N, N * G] scores of every pair, when teachers score on the fly.
        average: float[N, N * G] scores of the moving average of the student.
    """

    own: Tensor | None = None
    batch: Tensor | None = None
    average: Tensor | None = None


def loss_parts(vectors: Vectors, teaching: Teaching, config: LossConfig) -> dict[str, Tensor]:
    """The ranking losses with a weight above zero, unweighted, by name.

    Raises:
        InvalidInputError: if a loss needs teacher scores and there are none.
    """
    n, group = vectors.valid.shape
    scores = losses.batch_scores(vectors.queries, vectors.documents)
    row = torch.arange(n, device=scores.device)
    own = scores.view(n, n, group)[row, row]
    everything = vectors.valid.flatten()[None, :] & ~vectors.same
    parts: dict[str, Tensor] = {}
    if config.contrastive:
        mask = losses.candidate_mask(n, group, config.candidates, scores.device) & everything
        parts["contrastive"] = losses.info_nce(scores, row * group, temperature=config.temperature, mask=mask)
    if config.pairwise:
        parts["pairwise"] = losses.pairwise(own[vectors.valid.all(1)]) if group > 1 else scores.new_zeros(())
    if config.margin_mse:
        teacher, complete = _own_teaching(teaching, vectors.valid, "margin_mse")
        parts["margin_mse"] = (
            losses.margin_mse(own[complete], teacher[complete], pairs=config.margin_pairs)
            if complete.any() and group > 1
            else scores.sum() * 0
        )
    if config.kl:
        parts["kl"] = _kl(scores, own, vectors, teaching, config, everything)
    if config.self_weight and teaching.average is not None:
        parts["self"] = distillation.self_distillation(
            scores, teaching.average, temperature=config.kl_temperature, mask=everything
        )
    return parts


def _kl(
    scores: Tensor, own: Tensor, vectors: Vectors, teaching: Teaching, config: LossConfig, everything: Tensor
) -> Tensor:
    if config.kl_candidates == "all":
        if teaching.batch is None:
            raise InvalidInputError("loss.kl_candidates = all needs loss.teachers that score on the fly")
        teacher, student, mask = teaching.batch, scores, everything
    else:
        teacher, complete = _own_teaching(teaching, vectors.valid, "kl")
        if not complete.any():
            return scores.sum() * 0
        teacher, student, mask = teacher[complete], own[complete], vectors.valid[complete]
    return losses.kl_divergence(
        student, teacher, temperature=config.kl_temperature, rescale=config.kl_rescale, mask=mask
    )


def bank_loss(queries: Tensor, documents: Tensor, teachers: Sequence[Tensor], config: LossConfig) -> Tensor:
    """KL to the teachers' ensemble over queries that are not the batch's own (`query_bank.py`).

    Args:
        queries: float[B, V].
        documents: float[M, V].
        teachers: tables float[B, M].
        config: scale and weights of the ensemble, temperature.
    """
    target = distillation.ensemble(teachers, scale=config.bank_scale, weights=config.teacher_weights or None)
    return losses.kl_divergence(queries @ documents.T, target, temperature=config.kl_temperature)


def _own_teaching(teaching: Teaching, valid: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """float[N, G] teacher scores and bool[N]: which queries have one for every document."""
    if teaching.own is None:
        raise InvalidInputError(
            f"loss.{what} needs teacher scores: the data has none, and loss.teachers is empty"
        )
    known = torch.isfinite(teaching.own)
    complete = (known | ~valid).all(1) & (valid.sum(1) > 1)
    return torch.where(known, teaching.own, teaching.own.new_zeros(())), complete


def teacher_scores(
    on_the_fly: Sequence[Tensor], own: Tensor, config: LossConfig, valid: Tensor, same: Tensor
) -> Teaching:
    """Teachers' tables float[N, N * G] and the data's scores float[N, G] as one `Teaching`, normalised as
    asked.
    """
    n, group = valid.shape
    if on_the_fly:
        mask = valid.flatten()[None, :] & ~same
        batch = on_the_fly[0]
        if config.teacher_scale:
            weights = config.teacher_weights or None
            batch = distillation.ensemble(on_the_fly, scale=config.teacher_scale, weights=weights, mask=mask)
        elif len(on_the_fly) > 1:
            raise InvalidInputError(
                "loss.teacher_scale: several teachers are only comparable after normalisation"
            )
        row = torch.arange(n, device=batch.device)
        return Teaching(own=batch.view(n, n, group)[row, row], batch=batch)
    if not torch.isfinite(own).any():  # e.g. a batch of freshly mined negatives: nothing to distil
        return Teaching(own=own)
    if config.teacher_scale:
        known = torch.isfinite(own)
        filled = torch.where(known, own, own.new_zeros(()))
        scaled = config.teacher_scale * distillation.min_max(filled, known)
        own = torch.where(known, scaled, own.new_full((), torch.nan))
    return Teaching(own=own)


def penalties(
    vectors: Vectors,
    config: RegularizerConfig,
    *,
    idf: Tensor | None = None,
    df_share: Tensor | None = None,
) -> dict[str, Tensor]:
    """The regularisers with a weight above zero, unweighted, by name (`document`, `query`, `joint`,
    `collapse`).
    """
    flat = vectors.documents[vectors.valid]
    documents = flat if config.reduction == "flat" else vectors.documents
    parts: dict[str, Tensor] = {}
    if config.document != "none" and config.document_lambda:
        parts["document"] = _penalty(
            config.document, documents, config.document_threshold, config, idf, df_share, config.reduction
        )
    if vectors.learned_queries and config.query != "none" and config.query_lambda:
        parts["query"] = _penalty(
            config.query, vectors.queries, config.query_threshold, config, idf, df_share, "flat"
        )
    if config.joint_lambda:
        parts["joint"] = regularizers.joint_flops(vectors.queries, flat)
    if config.anti_collapse:
        queries = vectors.queries if vectors.learned_queries else None
        parts["collapse"] = regularizers.anti_collapse(queries, flat)
    return parts


def _penalty(
    kind: Penalty,
    weights: Tensor,
    threshold: int,
    config: RegularizerConfig,
    idf: Tensor | None,
    df_share: Tensor | None,
    reduction: regularizers.Reduction,
) -> Tensor:
    if kind == "l1":
        return regularizers.l1(weights)
    factors = None
    if kind == "df_flops" and df_share is not None:
        factors = regularizers.df_factors(df_share, config.df_half, config.df_steepness)
    if config.idf_in_flops and idf is not None:
        factors = idf if factors is None else factors * idf
    return regularizers.flops(weights, reduction=reduction, threshold=threshold or None, term_factors=factors)


def lambdas(config: RegularizerConfig, step: int, ramp_steps: int) -> dict[str, float]:
    """The weight of each penalty at a step (from 1); the anti-collapse term is at full weight from the
    start.
    """
    share = ramp(step, ramp_steps, config.ramp)
    return {
        "document": config.document_lambda * share,
        "query": config.query_lambda * share,
        "joint": config.joint_lambda * share,
        "collapse": config.anti_collapse,
    }


def loss_weights(config: LossConfig) -> dict[str, float]:
    """The weight of each loss part by name."""
    return {
        "contrastive": config.contrastive,
        "pairwise": config.pairwise,
        "margin_mse": config.margin_mse,
        "kl": config.kl,
        "self": config.self_weight,
        "term": config.term,
        "bank": config.bank,
        "embed": config.embed,
    }
