"""`load_cross`: a cross-encoder, which reads query and document together: accurate scores, and dear ones.

sentence-transformers' CrossEncoder runs it; reranking in an evaluation and teachers of training load it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.folders import hub
from splade_engine.encoder.forks import claim_process
from splade_engine.encoder.quiet import without_bars
from splade_engine.errors import CheckpointError
from splade_engine.extras import needed

BATCH = 32  # pairs at a time
_SCORES = "ForSequenceClassification"  # ends the names of models of transformers that score pairs


class CrossEncoder:
    """Scores pairs of texts.

    Args:
        model: of sentence-transformers.
        name: for messages.
        raw: scores as the model's last layer gives them; else through its activation, often a sigmoid.
    """

    def __init__(self, model: Any, name: str, raw: bool) -> None:
        from torch import nn

        self.name = name
        self._model = model
        self._activation = nn.Identity() if raw else None

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.float32]:
        """float32[m] of m queries, each with the document in its place.

        Raises:
            CheckpointError: if the model gives several scores a pair (a classifier), or one that is not
                finite.
        """
        if not queries:
            return np.zeros(0, np.float32)
        found: Any = self._model.predict(
            list(zip(queries, documents, strict=True)),
            batch_size=BATCH,
            show_progress_bar=False,
            activation_fn=self._activation,
        )
        scores = np.asarray(found, np.float32)
        if scores.shape != (len(queries),):
            raise CheckpointError(f"{self.name}: {scores.shape[-1]} scores a pair, a cross-encoder gives one")
        if not np.isfinite(scores).all():
            raise CheckpointError(f"{self.name}: a score of this model is not finite")
        return scores


def load_cross(source: str | Path, *, device: str | None = "cpu", raw: bool = False) -> CrossEncoder:
    """A cross-encoder from a model folder or a hub id.

    Args:
        source: anything that sentence-transformers' CrossEncoder takes.
        device: where it runs; None: on a GPU where there is one.
        raw: see `CrossEncoder`; distillation wants the scores before a sigmoid flattens them.

    Raises:
        CheckpointError: if it cannot be loaded, or was saved without the layer that scores, whose weights
            would be random.
        MissingExtraError: without sentence-transformers.
        SpladeEngineError: as `claim_process`.
    """
    with needed("running a cross-encoder"):
        import sentence_transformers
    claim_process()
    folder, name = hub.resolve(str(source))
    try:
        with without_bars():
            model = sentence_transformers.CrossEncoder(str(folder), device=device)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"{name}: no CrossEncoder ({reason})") from error
    _refuse_without_head(model, name)
    return CrossEncoder(model, name, raw)


def _refuse_without_head(model: Any, name: str) -> None:
    made = type(getattr(model, "model", None)).__name__
    saved = getattr(getattr(model, "config", None), "architectures", None) or []
    if saved and made.endswith(_SCORES) and not any(one.endswith(_SCORES) for one in saved):
        raise CheckpointError(f"{name}: no CrossEncoder (a {saved[0]} has no layer that scores a pair)")
