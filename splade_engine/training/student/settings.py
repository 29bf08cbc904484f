"""What a trained encoder is: the settings of the base that it starts from, unless the recipe says otherwise.

A base that is a sparse encoder already was made with its settings: other ones, or another query table, make
it a worse encoder before the first step. So the recipe's fields say `auto` by default, and what a recipe
changes is logged.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, get_args

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.settings import Activation, EncoderSettings
from splade_engine.errors import InvalidInputError
from splade_engine.training.recipe.sections import ModelConfig, Query

logger = logging.getLogger(__name__)

# fields of the recipe that decide a setting, their values that leave it to the base, and the setting
_FIELDS = {
    "pooling": ("auto", "pooling"),
    "activation": ("auto", "activation"),
    "sparsemax_mass": (0, "sparsemax_mass"),
    "special_tokens": ("auto", "special_tokens"),
    "min_weight": (-1, "min_weight"),
    "document_top_k": (-1, "top_k"),
    "query_top_k": (-1, "query_top_k"),
    "query_counts": ("auto", "query_counts"),
    "phrase_terms": ("auto", "phrase_terms"),
    "max_length": (0, "max_length"),
}


def query_kind(config: ModelConfig, checkpoint: Checkpoint) -> Query:
    """Where queries come from: what the recipe says, else as in the base."""
    if config.query != "auto":
        return config.query
    if isinstance(checkpoint.query, QueryTable):
        return "table"
    return "shared" if checkpoint.query is None else "separate"


def table_source(config: ModelConfig, checkpoint: Checkpoint) -> str:
    """`model.idf` without `auto`."""
    if config.idf != "auto":
        return config.idf
    return "base" if isinstance(checkpoint.query, QueryTable) else "data"


def _said(config: ModelConfig, checkpoint: Checkpoint, own: EncoderSettings, queries: bool) -> dict[str, Any]:
    """The settings that the recipe decides."""
    said: dict[str, Any] = {}
    for name, (left, setting) in _FIELDS.items():
        value = getattr(config, name)
        if value != left:
            said[setting] = value
    if said.get("activation", "relu") not in get_args(Activation):
        said["activation"] = "relu"  # `relu_gelu` differs in its gradient only
    if "query_counts" in said:
        said["query_counts"] = said["query_counts"] == "counts"
    for name in ("top_k", "query_top_k"):
        if name in said:
            said[name] = said[name] or None
    if said.get("query_top_k", 0) is None and said.get("top_k", own.top_k) is not None:
        said["query_top_k"] = checkpoint.n_terms + checkpoint.settings.extra_terms  # all, not as of documents
    if queries and "query_top_k" in said:
        said |= {"top_k": said["query_top_k"], "query_top_k": None}
    return said


def encoder_settings(
    config: ModelConfig, checkpoint: Checkpoint, length: int, *, encoder: bool, queries: bool = False
) -> EncoderSettings:
    """The settings of the student.

    Args:
        config: the recipe's model section.
        checkpoint: the base.
        length: tokens per text while training.
        encoder: whether the base is a sparse encoder, whose settings are kept.
        queries: whether this is the query side of a pair, whose terms are cut to `query_top_k`, and of which
            none is dropped for being light.

    Raises:
        InvalidInputError: if the base cannot take `max_length` tokens, or a field means nothing with it.
    """
    base = checkpoint.settings
    if not encoder:
        own = EncoderSettings(max_length=length, special_tokens="zero", lowercase=base.lowercase)
    else:
        own = base
    said = _said(config, checkpoint, own, queries)
    settings = replace(own, **said)
    if config.sparsemax_mass and settings.activation != "sparsemax":
        raise InvalidInputError(
            f"model.sparsemax_mass = {config.sparsemax_mass:g} means nothing with the activation "
            f"{settings.activation} of {checkpoint.name}; set model.activation = sparsemax"
        )
    if checkpoint.positions is not None and settings.max_length > checkpoint.positions:
        raise InvalidInputError(
            f"model.max_length {settings.max_length}: {checkpoint.name} takes {checkpoint.positions} tokens"
        )
    changed = [f"{k} {getattr(own, k)} to {getattr(settings, k)}" for k in said if getattr(own, k) != said[k]]
    if encoder and changed:
        logger.warning(
            "%s: the recipe changes what it was made with: %s", checkpoint.name, ", ".join(changed)
        )
    return replace(settings, min_weight=0.0) if queries else settings
