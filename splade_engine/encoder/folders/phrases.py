"""Writing an encoder with phrase terms: a folder like its own with other settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.export import save_encoder
from splade_engine.encoder.folders.files import copy_model, read_json
from splade_engine.encoder.folders.hub import PATTERNS
from splade_engine.encoder.folders.ours import (
    QUERY_WEIGHTS,
    SECTION,
    write_copy,
    write_st_module,
    write_table,
)
from splade_engine.encoder.kinds import Scalar
from splade_engine.encoder.settings import PHRASE_SETTINGS, EncoderSettings
from splade_engine.errors import CheckpointError
from splade_engine.files import write_json


def with_phrases(checkpoint: Checkpoint, settings: EncoderSettings) -> Checkpoint:
    """The checkpoint with the phrase terms of other settings, on both sides.

    Args:
        checkpoint: of a kind whose terms are tokens.
        settings: those named in `PHRASE_SETTINGS` are taken over.

    Raises:
        CheckpointError: the kind has no such terms, or the encoder was adapted to a collection.
    """
    if checkpoint.neighbours is not None:
        raise CheckpointError(
            f"{checkpoint.name}: its neighbours lack phrase terms; begin with the encoder that it was "
            "adapted from, and adapt the one with phrases"
        )
    new = {name: getattr(settings, name) for name in PHRASE_SETTINGS}
    query = checkpoint.query
    if isinstance(query, Checkpoint):
        query = replace(query, settings=replace(query.settings, **new))
    return replace(checkpoint, settings=replace(checkpoint.settings, **new), query=query)


def write_with_phrases(
    checkpoint: Checkpoint, out: Path, settings: EncoderSettings, table: NDArray[np.float32] | None
) -> None:
    """Write an encoder with phrase terms.

    A folder of ours (compact ones and ONNX among them) is copied with another section; any other is written
    as `SparseEncoder.save` writes it.

    Args:
        checkpoint: of the encoder.
        out: an empty folder.
        settings: see `with_phrases`.
        table: float32[V], the query table; None for none.

    Raises:
        CheckpointError: the kind has no such terms.
        InvalidInputError: `out` is not empty.
    """
    new = with_phrases(checkpoint, settings)
    root = checkpoint.folder
    config = read_json(root / "config.json", optional=True)
    if SECTION in config and checkpoint.model_folder == root:
        copy_model(root, out, PATTERNS)
        section = {k: v for k, v in config[SECTION].items() if k not in PHRASE_SETTINGS}
        section |= new.settings.to_section(PHRASE_SETTINGS)
        write_json(out / "config.json", {**config, SECTION: section})
        if not checkpoint.quantized and checkpoint.kind.in_safetensors:  # which it could load, as it thinks
            write_st_module(out)
    elif isinstance(new.kind, Scalar) and new.query is not None:
        _write_scalar(new, out, table)
    else:
        save_encoder(new, out, table=table)


def _write_scalar(checkpoint: Checkpoint, out: Path, table: NDArray[np.float32] | None) -> None:
    """A folder of uniCOIL or DeepImpact that was recognised by its tensors, in our own layout.

    Its query side goes into the section: a table of ones, or queries that add up.
    """
    kind = checkpoint.kind
    assert isinstance(kind, Scalar)
    if not isinstance(checkpoint.query, QueryTable):
        write_copy(replace(checkpoint, kind=replace(kind, query_pooling="sum"), query=None), out)
        return
    write_copy(replace(checkpoint, query=None), out)
    config = read_json(out / "config.json")
    if table is not None:
        write_table(table, out / QUERY_WEIGHTS)
        config[SECTION]["query_weights"] = QUERY_WEIGHTS
    write_json(out / "config.json", config)
