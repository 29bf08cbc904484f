"""modules.json of sentence-transformers: which modules a folder chains, and how a dense encoder pools.

Module types are compared by class name: the packages moved between versions 5 and 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from splade_engine.encoder.folders.files import inside, present, read_json, read_json_list
from splade_engine.encoder.kind import Module
from splade_engine.encoder.settings import DenseMode, DensePooling
from splade_engine.errors import CheckpointError

_LEGACY_POOLING: dict[str, DenseMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}
# what the config.json of a module may hold; all of it is followed, or decides no vector
_SETTINGS = {
    "SpladePooling": {
        "pooling_strategy", "activation_function", "embedding_dimension", "word_embedding_dimension",
        "chunk_size",
    },
    "Pooling": {
        "pooling_mode", "embedding_dimension", "word_embedding_dimension", "include_prompt",
        *_LEGACY_POOLING,
    },
    "Normalize": {"module_input_name", "module_output_name"},
    "SparseAutoEncoder": {"input_dim", "hidden_dim", "k", "k_aux", "normalize", "dead_threshold"},
}  # fmt: skip
_POOLED = "sentence_embedding"  # what `Normalize` works on


def read_chain(folder: Path) -> list[Module]:
    """The modules of a folder, in order.

    Raises:
        CheckpointError: if modules.json is not a list of modules, or one lies outside of the folder.
    """
    path = folder / "modules.json"
    entries = read_json_list(path)
    try:
        ordered = [(str(m["type"]), m["path"]) for m in sorted(entries, key=lambda m: int(m["idx"]))]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a list of modules with idx, type and path") from error
    return [Module(class_name(kind, folder), inside(folder, sub, path)) for kind, sub in ordered]


def odd_setting(module: Module) -> str | None:
    """A setting of a module that is not followed here, with its value and file; None where all are.

    Raises:
        CheckpointError: if its config.json cannot be read.
    """
    known, path = _SETTINGS.get(module.kind), module.folder / "config.json"
    if known is None or not present(path):
        return None
    for name, value in read_json(path).items():
        # what is off is followed, and so is `Normalize` where it works on what was pooled
        if value and (name not in known or (module.kind == "Normalize" and value != _POOLED)):
            return f"{path}: {name:.80} is {value!r:.80}: not supported"
    return None


def class_name(kind: object, folder: Path) -> str:
    """`SpladePooling` of `sentence_transformers.sparse_encoder.models.SpladePooling`.

    A class whose code lies in the model's folder, or in another repository (`owner/name--file.Class`), has
    its whole name: it may do something else than theirs of the same name.
    """
    package, _, name = str(kind).rpartition(".")
    own = folder / (package.partition(".")[0] + ".py")
    return str(kind) if "--" in package or own.is_file() else name


def dense_mode(folder: Path) -> DenseMode:
    """How a `Pooling` module pools: one of the modes of `DensePooling`.

    Raises:
        CheckpointError: for several modes, or one that is not known.
    """
    path = folder / "config.json"
    config = read_json(path)
    modes = config.get("pooling_mode") or [v for k, v in _LEGACY_POOLING.items() if config.get(k)]
    mode = modes[0] if isinstance(modes, list) and len(modes) == 1 else modes
    for known in get_args(DenseMode):
        if mode == known:
            return cast(DenseMode, known)
    raise CheckpointError(f"{path}: pooling_mode {mode!r:.80} is not supported")


def dense_modules(folder: Path) -> tuple[Path, DensePooling] | None:
    """Model folder and pooling of a dense encoder: Transformer, Pooling, [Normalize]; None for others.

    Others are chains of other modules, and settings that are not followed here.

    A folder without modules.json is pooled by mean and normalised.

    Raises:
        CheckpointError: if a file of the folder is not readable.
    """
    if not present(folder / "modules.json"):
        pooling = folder / "1_Pooling"
        mode = dense_mode(pooling) if present(pooling / "config.json") else "mean"
        return folder, DensePooling(mode, normalize=True)
    chain = read_chain(folder)
    kinds = [module.kind for module in chain]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return None
    if any(map(odd_setting, chain)):  # sentence-transformers knows what they mean
        return None
    return chain[0].folder, DensePooling(dense_mode(chain[1].folder), normalize=len(kinds) == 3)
