"""`read_checkpoint`: what a model folder holds, whatever its layout. Torch-free.

A folder says what it is by, in this order: a `splade_engine` section in config.json (our own formats),
`modules.json` (sentence-transformers), two folders `document/` and `query/` (one model a side), its
architecture and its tensors (`Kind.recognise`). Its name says nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import present, require_weights
from splade_engine.encoder.folders.ours import SECTION, read_ours
from splade_engine.encoder.folders.plain import PlainFolder
from splade_engine.encoder.folders.sentence_transformers import read_sentence_transformers
from splade_engine.encoder.kinds import KINDS
from splade_engine.encoder.neighbours import find_neighbours
from splade_engine.encoder.settings import blaming
from splade_engine.errors import CheckpointError

logger = logging.getLogger(__name__)


def read_checkpoint(folder: Path, name: str | None = None, *, hub_id: str | None = None) -> Checkpoint:
    """Recognise the checkpoint in `folder`.

    Args:
        folder: of the model.
        name: what messages call it; None for the folder's name.
        hub_id: the hub id that was asked for, if one was: it may be looked up among published checkpoints
        whose
            files do not say how they were trained.

    Raises:
        CheckpointError: if it is none of the known kinds, or a file that it needs is missing or broken.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    _refuse_hub_cache(folder)
    name = name or folder.resolve().name
    if pair := _pair(folder):
        document, query = (_one(half, name, None) for half in pair)
        found = replace(document, folder=folder, query=query)
    else:
        found = _one(folder, name, hub_id)
    return replace(found, neighbours=find_neighbours(folder))


def is_encoder(folder: Path) -> bool:
    """Whether the files of a model folder say how its vectors are made, so that it is a sparse encoder.

    A masked language model as it comes says nothing, though `read_checkpoint` takes it for SPLADE.
    """
    if present(folder / "modules.json") or _pair(folder) is not None:
        return True
    found = PlainFolder(folder, folder.name, None, read_config(folder, optional=True))
    return SECTION in found.config or read_checkpoint(folder).query is not None


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model in one of the layouts, whole or not."""
    return (
        any(present(folder / name) for name in ("config.json", "modules.json")) or _pair(folder) is not None
    )


def _refuse_hub_cache(folder: Path) -> None:
    """A folder of the hub's cache, `models--OWNER--NAME`, holds a model folder for each revision."""
    revisions = folder / "snapshots"
    if (folder / "config.json").exists() or not revisions.is_dir():
        return
    found = sorted(str(each) for each in revisions.iterdir() if each.is_dir())
    if found:
        told = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        raise CheckpointError(f"{folder}: the hub's cache of a model; give a revision of it: {told}")


def _pair(folder: Path) -> tuple[Path, Path] | None:
    """The two halves of a folder that holds one model for documents and one for queries."""
    if (folder / "config.json").exists() or (folder / "modules.json").exists():
        return None
    for document in ("document", "doc"):
        if (folder / document).is_dir() and (folder / "query").is_dir():
            return folder / document, folder / "query"
    return None


def _one(folder: Path, name: str, hub_id: str | None) -> Checkpoint:
    """A folder of one model, in any layout."""
    path = folder / "config.json"
    modular = present(folder / "modules.json")
    config = read_config(folder, optional=modular)
    if modular and SECTION not in config:
        return read_sentence_transformers(folder, name)
    if SECTION in config:
        ours = read_ours(folder, name, config)
        if ours.kind.in_safetensors:
            require_weights(folder)
        return ours
    require_weights(folder)
    found = PlainFolder(folder, name, hub_id, config)
    with blaming(folder):
        for kind in KINDS:
            checkpoint = kind.recognise(found)
            if checkpoint is not None:
                return checkpoint
    raise CheckpointError(
        f"{path}: architectures {found.architectures!s:.100} is neither a masked nor a causal language "
        "model, and there is no scalar head (tok_proj) in the weights"
    )
