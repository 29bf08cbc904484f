"""From what the caller named (nothing, a folder, a hub id) to a folder on this machine."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from splade_engine.arguments import path_of
from splade_engine.errors import CheckpointError, HubError, reason_of
from splade_engine.files import bring_back, expanded
from splade_engine.hub import hub_name, is_hub_name, offline

logger = logging.getLogger(__name__)

MODELS = Path(__file__).parents[2] / "models"
DEFAULT = "default"
BUNDLED_NAMES = {
    "bundled": DEFAULT,
    DEFAULT: DEFAULT,
    "sparse:default": DEFAULT,
    "tiny": "tiny",
    "sparse:tiny": "tiny",
}
"""The folder of `MODELS` behind every name that a bundled encoder has wherever a model can be named.

`./default` is a folder of that name.
"""

# Never the pickled weights, nor the other frameworks' copies of them; BGE-M3's head is read without running
# it (`torch_file.py`). Of ONNX the graph that is a model of its own, not the copies in folders below
PATTERNS = (
    "*.json", "*.safetensors", "*.txt", "*.model", "sparse_linear.pt", "neighbours.arrow", "model.onnx",
    "README.md",
)  # fmt: skip
# Published in two repositories, which no file of theirs says
_QUERY_HALVES = {
    f"naver/efficient-splade-{size}-doc": f"naver/efficient-splade-{size}-query"
    for size in ("V-large", "VI-BT-large")
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+|[A-Za-z0-9][\w.\-]*")


def resolve(source: str | Path | None, revision: str | None = None) -> tuple[Path, str]:
    """The folder and the name of a checkpoint; downloads it only if it is not a folder here.

    Args:
        source: None for the bundled model, one of `BUNDLED_NAMES`, an existing folder, or a hub id
            (`owner/name`, `hf://owner/name`, `hf://owner/name@revision`).
        revision: branch, tag or commit of a hub id.

    Raises:
        CheckpointError: if there is no such folder, or the hub id cannot be had (offline, unknown).
    """
    if source is None or is_bundled(source):
        size = DEFAULT if source is None else BUNDLED_NAMES[str(source)]
        folder = MODELS / size
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{folder}: this installation holds no bundled model of this name")
        if source is not None and Path(source).is_dir():
            logger.warning("%s: the bundled encoder, not the folder, which is ./%s", source, source)
        return folder, f"splade-engine-{size}"
    if is_hub_name(source):
        try:
            named = hub_name(str(source))
        except HubError as error:
            raise CheckpointError(str(error)) from None
        return _download(named.repo, named.revision or revision), named.repo
    if source != "":
        folder = path_of("source", source)
        bring_back(folder)
        if folder.is_dir():
            return folder, folder.resolve().name
    name = str(source)
    if isinstance(source, Path) or not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"{source}: no such folder, and not a hub id (owner/name)")
    return _download(name, revision), name


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(PATTERNS), local_files_only=offline()
            )
        )
    except LocalEntryNotFoundError as error:
        why = (
            "HF_HUB_OFFLINE is set and it is not in the local cache"
            if offline()
            else "the hub is out of reach"
        )
        raise CheckpointError(f"{name}: no such folder, and as a hub id: {why}") from error
    except (KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:  # the client trusts what a server says: anything may come of its answer
        raise CheckpointError(f"{name}: no such folder, and as a hub id: {reason_of(error)}") from error


def is_bundled(source: str | Path | None) -> bool:
    """Whether it names a bundled model."""
    return source is None or (isinstance(source, str) and source in BUNDLED_NAMES)


def bundled_size(folder: Path) -> str | None:
    """The folder's name among the bundled models (`default`, `tiny`), None where it is none of them."""
    folder = folder.resolve()
    return folder.name if folder.parent == MODELS.resolve() else None


def is_hub_id(source: str | Path | None) -> bool:
    """Whether `resolve` takes it for a hub id."""
    if is_bundled(source) or not isinstance(source, str):
        return False
    return bool(source) and not expanded(source).is_dir()


def query_half(hub_id: str, revision: str | None = None) -> Path | None:
    """The repository of the query model of an Efficient-SPLADE document model, None for others.

    Lassance and Clinchant, arXiv 2207.03834.
    """
    half = _QUERY_HALVES.get(hub_id)
    if half is None:
        return None
    logger.info("%s: queries are encoded by %s", hub_id, half)
    return _download(half, revision)
