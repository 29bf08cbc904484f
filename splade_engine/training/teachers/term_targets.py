"""The targets of the term loss: BM25's weights, the starting encoder's, or a mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.encoder import BATCH_TOKENS
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.side import NeuralSide
from splade_engine.errors import InvalidInputError
from splade_engine.training.data.collate import TermTargets
from splade_engine.training.machine import choose_device
from splade_engine.training.recipe.recipe import Recipe
from splade_engine.training.student.build import Start
from splade_engine.training.teachers.lexical import TermTeacher


def term_targets(recipe: Recipe, start: Start) -> TermTargets:
    """The targets of `loss.term`: BM25's weights, the starting encoder's, or a mixture (`loss.term_start`).

    Raises:
        InvalidInputError: if BM25's weights are asked for and queries do not come from a table, which weighs
            the terms.
        CheckpointError: if the starting encoder is asked for and the base is none.
    """
    table = start.student.table
    share = np.float32(recipe.loss.term_start)
    if table is None and share != 1:
        raise InvalidInputError("loss.term weighs terms by the query table: it needs model.query = table")
    if share:
        encode = _starting_encoder(recipe)
        if share == 1:
            return lambda ids, texts: encode(texts)
    assert table is not None
    vocabulary = start.documents.vocabulary(len(table))  # pairs are not in it
    idf = table.detach().clamp(min=0).numpy()
    lexical = TermTeacher(vocabulary, idf, start.documents.special_ids)
    if not share:
        return lambda ids, texts: lexical(ids)
    return lambda ids, texts: (1 - share) * lexical(ids) + share * encode(texts)


def _starting_encoder(recipe: Recipe) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Texts to float32[M, V] by the base as it is, in the encoder's own engine: no padding, no gradients."""
    config = recipe.model
    checkpoint = read_checkpoint(*hub.resolve(config.base))
    device = choose_device(recipe.train.device)
    # the loss is on the first head's logits, so the second one and phrase terms have no part in the targets
    settings = replace(checkpoint.settings, max_length=config.document_length, phrase_terms="none")
    first = replace(checkpoint, settings=settings, dense_head=None)
    side = NeuralSide(first, "", device, "auto")

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = side.encode(texts, batch_tokens=BATCH_TOKENS, top_k=None, progress=False).vectors
        dense: NDArray[np.float32] = rows.to_scipy().toarray()
        return dense

    return encode
