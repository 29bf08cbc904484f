"""Which settings of a recipe cannot act together: refused before anything is read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.parts import PARTS
from splade_engine.training.recipe.acting import idle

if TYPE_CHECKING:
    from splade_engine.training.recipe.recipe import Recipe

logger = logging.getLogger(__name__)


def check_together(recipe: Recipe) -> None:
    """Refuse settings of which one makes another mean nothing.

    Raises:
        InvalidInputError: naming both.
    """
    for fault in (
        *_kind(recipe),
        *_data(recipe),
        *_activation(recipe),
        *_losses(recipe),
        *_teachers(recipe),
        *_idf(recipe),
        *_targets(recipe),
        *idle(recipe),
    ):
        raise InvalidInputError(f"recipe {recipe.name}: {fault}")


def _kind(recipe: Recipe) -> Iterator[str]:
    model = recipe.model
    if model.kind == "deepimpact" and (model.query != "table" or model.idf != "uniform"):
        yield (
            "model.kind = deepimpact gives the words of a query the weight 1, so it needs model.query = table"
            f" and model.idf = uniform, not {model.query} and {shown(model.idf)[1:-1]}"
        )
    if model.kind == "deepimpact" and model.learn_idf:
        yield "model.learn_idf means nothing with model.kind = deepimpact, whose queries' words all weigh 1"
    if model.kind == "deepimpact" and recipe.loss.term:
        yield "loss.term gives documents terms, and model.kind = deepimpact weighs the words that they have"
    if model.phrase_terms == "words" and model.kind != "deepimpact":
        yield f"model.phrase_terms = words needs model.kind = deepimpact, not {model.kind}"
    if model.learn_phrases and model.phrase_terms not in ("auto", "pairs"):
        yield f"model.learn_phrases needs model.phrase_terms = pairs, not {model.phrase_terms}"
    if model.learn_phrases and recipe.regularizer.idf_in_flops:
        yield "regularizer.idf_in_flops divides by an idf, and the pairs of model.learn_phrases have none"
    if (model.phrase_terms == "pairs" or model.learn_phrases) and model.kind in ("csr", "echo"):
        yield f"model.phrase_terms = pairs needs terms that are tokens, not those of {model.kind}"


def _data(recipe: Recipe) -> Iterator[str]:
    data = recipe.data
    if data.refresh_beside and not data.refresh_steps:
        yield "data.refresh_beside needs data.refresh_steps, the steps between two renewals"
    if data.refresh_steps and not data.negatives:
        yield "data.refresh_steps renews negatives, and data.negatives = 0 wants none"


def _activation(recipe: Recipe) -> Iterator[str]:
    model = recipe.model
    if model.activation == "sparsemax":
        if model.kind not in ("mlm", "echo"):
            yield f"model.activation = sparsemax needs a vocabulary; model.kind = {model.kind} has none"
        if model.pooling == "sum":
            yield "model.activation = sparsemax is of a whole text, so it needs model.pooling = max"
    elif model.sparsemax_mass and model.activation != "auto":
        yield f"model.sparsemax_mass means nothing with model.activation = {model.activation}"


def _losses(recipe: Recipe) -> Iterator[str]:
    rebuilds = recipe.model.kind == "csr" and recipe.model.csr_reconstruction
    if not rebuilds and not any(part.weight(recipe.loss) for part in PARTS):
        yield "every loss has the weight 0, so there is nothing to learn"


def _teachers(recipe: Recipe) -> Iterator[str]:
    loss = recipe.loss
    if loss.teacher_weights and len(loss.teacher_weights) != len(loss.teachers):
        yield f"{len(loss.teachers)} loss.teachers and {len(loss.teacher_weights)} loss.teacher_weights"
    if loss.teacher_scale and loss.teacher_factor != 1:
        yield (
            f"loss.teacher_factor = {loss.teacher_factor:g} means nothing with loss.teacher_scale = "
            f"{loss.teacher_scale:g}, which takes a teacher's own scale away; set one of them"
        )


def _idf(recipe: Recipe) -> Iterator[str]:
    model, penalty = recipe.model, recipe.regularizer
    # `auto` is looked at again when the base has said what it is
    if model.learn_idf and model.query not in ("auto", "table"):
        yield f"model.learn_idf needs model.query = table; queries are {model.query}"
    if not penalty.idf_in_flops:
        return
    what = "regularizer.idf_in_flops divides the means of FLOPS by the idf of the query table, but"
    if model.query not in ("auto", "table"):
        yield f"{what} model.query = {model.query} has none"
    if model.idf == "uniform":
        yield f"{what} model.idf = uniform is 1 for every term"
    if penalty.document not in ("flops", "df_flops"):
        yield f"{what} regularizer.document = {penalty.document} is no FLOPS"


def _targets(recipe: Recipe) -> Iterator[str]:
    model, penalty = recipe.model, recipe.regularizer
    if penalty.threshold_scope == "tail" and not (penalty.document_threshold or penalty.query_threshold):
        yield "regularizer.threshold_scope = tail needs a document_threshold or query_threshold"
    for side in ("document", "query"):
        terms, kind = getattr(penalty, f"{side}_terms"), getattr(penalty, side)
        threshold = getattr(penalty, f"{side}_threshold")
        what = f"regularizer.{side}_terms = {terms:g}"
        if not terms:
            continue
        if kind == "none":
            yield f"{what} needs a penalty to hold it with: regularizer.{side} is none"
        if side == "query" and model.query == "table":
            yield f"{what}: queries come from a table (model.query), so their terms are those of their words"
        if model.kind == "csr" and model.csr_k:
            yield f"{what}: a csr encoder has model.csr_k = {model.csr_k} terms by construction"
        if terms < threshold:
            yield (
                f"{what} cannot be reached: regularizer.{side}_threshold = {threshold} leaves texts "
                "with that many terms alone"
            )


def check_reached(recipe: Recipe, steps: int) -> None:
    """Refuse what would first happen after the last of `steps` optimiser steps.

    What would be cut short by it, or change nothing, is told.

    Raises:
        InvalidInputError: naming the field.
    """
    data, penalty = recipe.data, recipe.regularizer
    late = ""
    if data.refresh_beside and data.refresh_steps >= steps:
        late = f"data.refresh_steps = {data.refresh_steps}: negatives that are found beside training come"
    elif "df_flops" in (penalty.document, penalty.query) and penalty.df_refresh >= steps:
        late = f"regularizer.df_refresh = {penalty.df_refresh}: document frequencies are first counted"
    if late:
        raise InvalidInputError(f"recipe {recipe.name}: {late} after that step, and the run has {steps}")
    train, model = recipe.train, recipe.model
    if not train.lr and not ((model.learn_idf or model.learn_phrases) and train.idf_lr):
        logger.warning("recipe %s: train.lr = 0 changes no weight, so nothing is learnt", recipe.name)
    for name, length, what in (
        ("train.warmup", 0 if train.scheduler == "constant" else train.warmup(steps), "the learning rate"),
        ("regularizer.ramp", penalty.rise(steps), "the weight of a penalty"),
    ):
        if length > steps:
            logger.warning(
                "recipe %s: %s rises for %d steps (%s_steps or %s_share), and the run has %d",
                *(recipe.name, what, length, name, name, steps),
            )
