"""Look at a base model before hours are spent on it.

Two kinds of backbones cannot be trained as they are: those without a masked-LM head (nothing maps a token's
state to terms), and those whose logits are nearly the same whatever the text says (sentence-transformers
issue 3431: every vector starts with cosine 1.000 to every other, and the first steps collapse).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from splade_engine.encoder.backbone import Backbone
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import positions_of
from splade_engine.encoder.folders.plain import PlainFolder
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.plain_text import one_line, shortened
from splade_engine.training.data.collate import pad
from splade_engine.training.student.head import max_pool

logger = logging.getLogger(__name__)

NEAR_CONSTANT = 0.995  # mean cosine between the vectors of unrelated sentences
OFFER = (
    "model.align = true (--set model.align=true) fits one in closed form from the input embeddings before "
    "training"
)

# Unrelated on purpose: their vectors should have little in common
SENTENCES = (
    "The harbour froze over in January and the ferries stopped running.",
    "Multiply both sides of the equation by the denominator.",
    "She planted tomatoes between two rows of basil.",
    "Interest rates were left unchanged by the central bank.",
    "The surgeon removed a small stone from the kidney.",
    "A violin has four strings tuned in fifths.",
    "Compile the kernel with debugging symbols enabled.",
    "Penguins recognise their chicks by voice.",
)


@dataclass(frozen=True)
class Outlook:
    """What the base model's vectors look like."""

    # Mean cosine between the vectors of unrelated texts.
    similarity: float
    # Mean number of terms with a logit above zero.
    terms: float


def check_head(folder: Path) -> None:
    """Refuse a folder whose architecture has no vocabulary head, before its weights are read.

    Raises:
        CheckpointError: naming the architecture, with the offer of an alignment.
    """
    architectures = PlainFolder(folder, folder.name, None, read_config(folder)).architectures
    if any(
        a.endswith(("ForMaskedLM", "ForPreTraining", "LMHeadModel", "ForCausalLM")) for a in architectures
    ):
        return
    named = shortened(one_line(", ".join(architectures)), 80) or "the model"
    raise CheckpointError(
        f"{folder}: {named} has no masked-LM head, which learned sparse retrieval trains; {OFFER}"
    )


def check_length(folder: Path, name: str, length: int) -> None:
    """Refuse a recipe whose texts are longer than what a base model takes, before its weights are read.

    Raises:
        InvalidInputError: naming both lengths.
    """
    positions = positions_of(read_config(folder, optional=True))
    if positions is not None and length > positions:
        raise InvalidInputError(f"{name} takes {positions} tokens, the recipe asks for {length}")


def length_of_queries(positions: int | None, name: str, length: int) -> int:
    """Tokens per query that a base model can take: no more than it has positions for."""
    if positions is None or length <= positions:
        return length
    logger.warning("%s takes %d tokens: longer queries are cut there (model.query_length)", name, positions)
    return positions


@torch.no_grad()
def outlook(backbone: Backbone, tokenizer: TextTokenizer, texts: Sequence[str] = SENTENCES) -> Outlook:
    """Pooled, activated vectors of a few unrelated texts, compared.

    The texts are the training data's, or eight of our own.
    """
    ids, mask = pad(tokenizer.encode(texts)[0])
    device = backbone.decoder_weight.device
    ids, mask = ids.to(device), mask.to(device)
    states = backbone(ids, mask.long())
    pooled = max_pool(states, backbone.decoder_weight, backbone.decoder_bias, mask)
    vectors = F.normalize(torch.log1p(pooled), dim=1)
    cosines = vectors @ vectors.T
    n = len(texts)
    return Outlook(
        similarity=float((cosines.sum() - cosines.diagonal().sum()) / (n * (n - 1))),
        terms=float((pooled > 0).sum(1).float().mean()),
    )


def check_outlook(
    backbone: Backbone, tokenizer: TextTokenizer, name: str, texts: Sequence[str] = SENTENCES
) -> Outlook:
    """Refuse a backbone that cannot learn from where it stands.

    Raises:
        CheckpointError: near-constant logits, or none above zero, with what to do.
    """
    found = outlook(backbone, tokenizer, texts)
    if found.terms == 0:
        raise CheckpointError(
            f"{name}: no logit of the base model is above zero, so no term can get a gradient; {OFFER}"
        )
    if not found.similarity < NEAR_CONSTANT:  # NaN too
        raise CheckpointError(
            f"{name}: near-constant logits (unrelated texts have cosine {found.similarity:.3f}, from "
            f"{NEAR_CONSTANT} on nothing is left to tell texts apart); another base, or: {OFFER}"
        )
    return found
