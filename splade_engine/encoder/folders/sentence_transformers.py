"""Reading sentence-transformers `SparseEncoder` folders: `modules.json` and what it points to.

Understood are versions 5 and 6 (module types are compared by class name, the packages moved between them):

    Transformer | MLMTransformer, SpladePooling                        MLM pooled over tokens
    Transformer, Pooling, [Normalize], SparseAutoEncoder               CSR
    Router {query: [SparseStaticEmbedding | ...], document: [...]}     one chain per side
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from splade_engine.encoder.checkpoint import Activation, Checkpoint, DensePooling, QueryTable
from splade_engine.encoder.folders.files import (
    existing,
    max_length_of,
    positions_of,
    read_json,
    require_weights,
)
from splade_engine.errors import CheckpointError

Chain = list[tuple[str, Path]]  # (class name, folder) per module

# sentence-transformers names the activation before the log1p that always follows
_ACTIVATIONS: dict[str, Activation] = {"relu": "log1p_relu", "log1p_relu": "log1p_log1p_relu"}
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}


def read_modules(folder: Path, name: str) -> Checkpoint:
    """The checkpoint of a folder with `modules.json`.

    Raises:
        CheckpointError: naming the module that is not understood.
    """
    chain = _chain(folder)
    root = read_json(folder / "config_sentence_transformers.json", optional=True)
    if len(chain) == 1 and chain[0][0] in {"Router", "Asym"}:
        checkpoint = _router(folder, name, chain[0][1])
    else:
        checkpoint = _linear(folder, name, chain)
    prompts = root.get("prompts") or {}
    default = prompts.get(root.get("default_prompt_name") or "", "")
    document = next((prompts[k] for k in ("document", "passage", "corpus") if k in prompts), default)
    top_k = root.get("max_active_dims")
    own = root.get("splade_engine") or {}
    checkpoint = replace(
        checkpoint,
        document_prompt=document or "",
        query_prompt=prompts.get("query", default) or "",
        top_k=checkpoint.top_k if top_k is None else int(top_k),
        min_weight=float(own.get("min_weight", checkpoint.min_weight)),
        long_texts=own.get("long_texts", checkpoint.long_texts),
        dense_head=existing(folder / own["dense_head"]) if "dense_head" in own else None,
    )
    if isinstance(checkpoint.query, QueryTable):
        counts, few = own.get("query_counts", False), own.get("query_top_k")
        checkpoint = replace(checkpoint, query=replace(checkpoint.query, counts=counts, top_k=few))
    if isinstance(checkpoint.query, Checkpoint):
        query = replace(checkpoint.query, query_prompt=checkpoint.query_prompt, top_k=checkpoint.top_k)
        checkpoint = replace(checkpoint, query=query)
    return checkpoint


def dense_modules(folder: Path) -> tuple[Path, DensePooling] | None:
    """Model folder and pooling of a dense encoder: Transformer, Pooling, [Normalize]. None for others.

    Raises:
        CheckpointError: if `modules.json` is not readable.
    """
    chain = _chain(folder)
    kinds = [kind for kind, _ in chain]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return None
    return chain[0][1], DensePooling(_dense_mode(chain[1][1]), normalize=len(kinds) == 3)


def _chain(folder: Path) -> Chain:
    path = folder / "modules.json"
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        entries = [(str(m["type"]), str(m["path"])) for m in sorted(modules, key=lambda m: int(m["idx"]))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not a list of modules with idx, type and path: {error!r}") from error
    return [(kind.rpartition(".")[2], _inside(folder, sub)) for kind, sub in entries]


def _inside(folder: Path, sub: str) -> Path:
    """A module's folder; a path that leaves the checkpoint is refused."""
    pure = PurePosixPath(sub)
    if pure.is_absolute() or ".." in pure.parts:
        raise CheckpointError(f"{folder / 'modules.json'}: path {sub!r} leaves the folder")
    return folder / pure


def _router(folder: Path, name: str, base: Path) -> Checkpoint:
    path = base / "router_config.json"
    path = path if path.is_file() else base / "config.json"  # before version 5.1
    config = read_json(path)
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise CheckpointError(f"{path}: no `types` and `structure`")
    routes: dict[str, Chain] = {}
    for route, ids in structure.items():
        try:
            routes[route] = [(str(types[i]).rpartition(".")[2], _inside(base, i)) for i in ids]
        except KeyError as error:
            raise CheckpointError(f"{path}: module {error.args[0]!r} has no type") from error
    document = routes.get("document") or routes.get("passage")
    if document is None or "query" not in routes:
        raise CheckpointError(f"{path}: routes {sorted(routes)}, expected `query` and `document`")
    if document[0][0] in {"SparseStaticEmbedding", "IDF"}:
        raise CheckpointError(f"{path}: the document side is a static table, it has no encoder")
    checkpoint = _linear(folder, name, document)
    query = routes["query"]
    if query == document:
        return checkpoint
    if query[0][0] in {"SparseStaticEmbedding", "IDF"}:
        if len(query) > 1:
            raise CheckpointError(f"{path}: modules after {query[0][0]} on the query side are not supported")
        return replace(checkpoint, query=_static(folder, query[0][1]))
    return replace(checkpoint, query=_linear(folder, name, query))


def _static(root: Path, folder: Path) -> QueryTable:
    """SparseStaticEmbedding: weights of its own, or an idf.json named by path."""
    path = read_json(folder / "config.json", optional=True).get("path")
    if isinstance(path, str) and path.endswith(".json"):
        # sentence-transformers looks in the working directory and on the hub; here: in the checkpoint only
        for place in (folder / Path(path).name, root / Path(path).name):
            if place.is_file():
                return QueryTable(folder, place)
        raise CheckpointError(f"{folder / 'config.json'}: {path} is neither in {folder} nor in {root}")
    return QueryTable(folder, existing(folder / "model.safetensors"))


def _linear(root: Path, name: str, chain: Chain) -> Checkpoint:
    kinds = [kind for kind, _ in chain]
    if kinds[:1] not in (["Transformer"], ["MLMTransformer"]):
        raise CheckpointError(f"{root}: modules {kinds} do not start with a Transformer")
    model_folder = chain[0][1]
    config = read_json(model_folder / "config.json")
    sentence = read_json(model_folder / "sentence_bert_config.json", optional=True)
    require_weights(model_folder)
    base = Checkpoint(
        folder=root,
        name=name,
        kind="mlm",
        model_folder=model_folder,
        max_length=max_length_of(model_folder, config),
        positions=positions_of(config),
        lowercase=bool(sentence.get("do_lower_case")),
    )
    if kinds[1:] == ["SpladePooling"]:
        return _with_splade_pooling(base, chain[1][1])
    if kinds[1:2] == ["Pooling"] and kinds[-1] == "SparseAutoEncoder" and set(kinds[2:-1]) <= {"Normalize"}:
        sae = read_json(chain[-1][1] / "config.json")
        existing(chain[-1][1] / "model.safetensors")
        return replace(
            base,
            kind="csr",
            activation="relu",
            autoencoder=chain[-1][1],
            top_k=int(sae.get("k", 8)),
            dense=DensePooling(_dense_mode(chain[1][1]), normalize="Normalize" in kinds),
        )
    raise CheckpointError(f"{root}: modules {kinds} are not a sparse encoder that is known here")


def _with_splade_pooling(base: Checkpoint, folder: Path) -> Checkpoint:
    config: dict[str, Any] = read_json(folder / "config.json")
    activation = config.get("activation_function", "relu")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(f"{folder / 'config.json'}: activation_function {activation!r} is not known")
    return replace(base, pooling=config.get("pooling_strategy", "max"), activation=_ACTIVATIONS[activation])


def _dense_mode(folder: Path) -> Any:
    config = read_json(folder / "config.json")
    mode = config.get("pooling_mode") or [v for k, v in _LEGACY_POOLING.items() if config.get(k)]
    mode = mode[0] if isinstance(mode, list) and len(mode) == 1 else mode
    if mode not in set(_LEGACY_POOLING.values()):
        raise CheckpointError(f"{folder / 'config.json'}: pooling_mode {mode!r} is not supported")
    return mode
