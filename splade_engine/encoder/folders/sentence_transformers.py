"""Reading sentence-transformers `SparseEncoder` folders: `modules.json` and what it points to.

Understood are versions 5 and 6:

    Transformer | MLMTransformer, modules of a kind                    one chain for both sides
    Router {query: [SparseStaticEmbedding | ...], document: [...]}     one chain per side

Which modules follow the transformer is what a kind knows (`Kind.from_modules`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import (
    UNBOUNDED,
    existing,
    inside,
    lowercases,
    max_length_of,
    positions_of,
    present,
    read_json,
    require_weights,
)
from splade_engine.encoder.folders.modules import class_name, odd_setting, read_chain
from splade_engine.encoder.folders.text_inputs import check_inputs
from splade_engine.encoder.folders.tokenizer_class import CONFIG
from splade_engine.encoder.kind import Module
from splade_engine.encoder.kinds import KINDS, MaskedLm
from splade_engine.encoder.settings import PHRASE_SETTINGS, EncoderSettings, blaming, is_number
from splade_engine.errors import CheckpointError

logger = logging.getLogger(__name__)

OURS_ALONE = ("min_weight", "long_texts", "query_counts", "query_top_k", *PHRASE_SETTINGS)
"""Settings that sentence-transformers has no place for: in a section of config_sentence_transformers.json."""

_ROOT = "config_sentence_transformers.json"
# of a route mapping, the text of a pair: the side, and texts or whatever there is
_SIDE = re.compile(r"""\(['"](query|document)['"], (?:None|['"]text['"])\)""")
_TABLES = {"SparseStaticEmbedding", "IDF"}


def read_sentence_transformers(folder: Path, name: str) -> Checkpoint:
    """The checkpoint of a folder with `modules.json`.

    Raises:
        CheckpointError: naming the module or the setting that is not understood.
    """
    chain = read_chain(folder)
    if len(chain) == 1 and chain[0].kind in {"Router", "Asym"}:
        checkpoint = _router(folder, name, chain[0].folder)
    else:
        checkpoint = _linear(folder, name, chain)
    path = folder / _ROOT
    root = read_json(path, optional=True)
    section = root.get("splade_engine") or {}
    with blaming(path):
        if not isinstance(section, dict):
            raise CheckpointError("splade_engine is not a JSON object")
        own = {k: v for k, v in section.items() if k in OURS_ALONE and v is not None}
        settings = replace(checkpoint.settings, **_prompts(root, path), **own)
        if root.get("max_active_dims") is not None:
            settings = replace(settings, top_k=root["max_active_dims"])
        _check_similarity(root, path)
    head = section.get("dense_head")
    checkpoint = replace(
        checkpoint,
        settings=settings,
        dense_head=existing(inside(folder, head, path)) if head is not None else None,
    )
    if isinstance(checkpoint.query, Checkpoint):
        phrases = {name: getattr(settings, name) for name in PHRASE_SETTINGS}
        side = replace(
            checkpoint.query.settings,
            query_prompt=settings.query_prompt,
            top_k=settings.kept_of_queries,
            **phrases,
        )
        checkpoint = replace(checkpoint, query=replace(checkpoint.query, settings=side))
    return checkpoint


def _prompts(root: dict[str, Any], path: Path) -> dict[str, Any]:
    """What is put before documents and queries."""
    prompts = root.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise CheckpointError("prompts is not a JSON object")
    named = root.get("default_prompt_name")
    if named is not None and (not isinstance(named, str) or named not in prompts):
        raise CheckpointError(f"default_prompt_name is {named!r:.80}, which is none of its prompts")
    default = "" if named is None else prompts[named]
    document = next((prompts[k] for k in ("document", "passage", "corpus") if k in prompts), default) or ""
    query = prompts.get("query", default) or ""
    for side, ours in (("document", document), ("query", query)):
        if ours and side not in prompts:
            logger.warning(
                "%s: the prompt %s is put before each %s; it is not named %s, so encode_%s of "
                "sentence-transformers leaves it out",
                path,
                ascii(ours)[:80],
                *(side,) * 3,
            )
    return {"document_prompt": document, "query_prompt": query}


def _check_similarity(root: dict[str, Any], path: Path) -> None:
    """Hits are ranked by the dot product, whatever a model was compared with."""
    named = root.get("similarity_fn_name")
    if named is not None and not isinstance(named, str):
        raise CheckpointError(f"similarity_fn_name is {named!r:.80}, not the name of a similarity")
    if named not in (None, "dot", "dot_score"):
        told = "%s: similarity_fn_name is %.80r; hits are ranked by the dot product all the same"
        logger.warning(told, path, named)


def _router(folder: Path, name: str, base: Path) -> Checkpoint:
    path = base / "router_config.json"
    path = path if present(path) else base / "config.json"  # before version 5.1
    config = read_json(path)
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise CheckpointError(f"{path}: no `types` and `structure`")
    _check_mappings(config, path)
    routes: dict[str, list[Module]] = {}
    for route, ids in structure.items():
        if not isinstance(ids, list):
            raise CheckpointError(f"{path}: route {route!r:.80} is not a list of modules")
        try:
            routes[route] = [Module(class_name(types[i], folder), inside(base, i, path)) for i in ids]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: module {error.args[0]!r:.80} has no type") from error
    document = routes.get("document") or routes.get("passage")
    query = routes.get("query")
    if not document or not query:
        raise CheckpointError(f"{path}: routes {sorted(routes)!s:.100}, expected `query` and `document`")
    if document[0].kind in _TABLES:
        raise CheckpointError(f"{path}: the document side is a static table, it has no encoder")
    checkpoint = _linear(folder, name, document)
    if query == document:
        return checkpoint
    if query[0].kind in _TABLES:
        if len(query) > 1:
            raise CheckpointError(
                f"{path}: modules after {query[0].kind} on the query side are not supported"
            )
        limit = _limit_of_table(query[0].folder / CONFIG, checkpoint.settings.max_length)
        settings = replace(checkpoint.settings, query_max_length=limit)
        return replace(checkpoint, query=_static(folder, query[0].folder), settings=settings)
    queries = _linear(folder, name, query)
    limits = queries.settings
    own = replace(limits, max_length=limits.length_of_queries, query_max_length=None)
    settings = replace(checkpoint.settings, query_max_length=None)
    return replace(checkpoint, query=replace(queries, settings=own), settings=settings)


def _check_mappings(config: dict[str, Any], path: Path) -> None:
    """Refuse mappings that send a text elsewhere than to the route of its own side."""
    parameters = config.get("parameters") or {}
    mappings = parameters.get("route_mappings") or {} if isinstance(parameters, dict) else parameters
    if not isinstance(mappings, dict):
        raise CheckpointError(f"{path}: route_mappings is {mappings!r:.80}, not a JSON object")
    for key, route in mappings.items():
        side = _SIDE.match(key)
        if side is None or side[1] != route:
            raise CheckpointError(f"{path}: route_mappings sends {key!r:.80} to {route!r:.80}: not supported")


def _limit_of_table(path: Path, max_length: int) -> int | None:
    """Where the tokenizer of a query table cuts queries; None: where documents are cut, or nowhere."""
    limit = read_json(path, optional=True).get("model_max_length")
    if not is_number(limit) or limit >= UNBOUNDED or limit == max_length:
        return None
    with blaming(path):
        if limit != int(limit) or limit < 3:
            raise CheckpointError(f"model_max_length is {limit!r:.80}, not a number of tokens")
    return int(limit)


def _static(root: Path, folder: Path) -> QueryTable:
    """SparseStaticEmbedding: weights of its own, or an idf.json named by path."""
    path = read_json(folder / "config.json", optional=True).get("path")
    if isinstance(path, str) and path.endswith(".json"):
        # sentence-transformers looks in the working directory and on the hub; here: in the checkpoint only
        for place in (folder / Path(path).name, root / Path(path).name):
            if present(place):
                return QueryTable(folder, place)
        raise CheckpointError(f"{folder / 'config.json'}: {path:.100} is neither in {folder} nor in {root}")
    return QueryTable(folder, existing(folder / "model.safetensors"))


def _linear(root: Path, name: str, chain: Sequence[Module]) -> Checkpoint:
    kinds = [module.kind for module in chain]
    if kinds[:1] not in (["Transformer"], ["MLMTransformer"]):
        raise CheckpointError(f"{root}: modules {kinds!s:.100} do not start with a Transformer")
    if odd := next(filter(None, map(odd_setting, chain)), None):
        raise CheckpointError(odd)
    model_folder = chain[0].folder
    config = read_config(model_folder)
    require_weights(model_folder)
    with blaming(root):
        of_documents, of_queries = (max_length_of(model_folder, config, queries=q) for q in (False, True))
        settings = EncoderSettings(
            max_length=of_documents,
            query_max_length=None if of_queries == of_documents else of_queries,
            lowercase=lowercases(model_folder),
        )
        base = Checkpoint(root, name, MaskedLm(), model_folder, settings, positions_of(config))
        for kind in KINDS:
            checkpoint = kind.from_modules(base, chain[1:])
            if checkpoint is not None:
                check_inputs(model_folder, kind.st_task)
                _check_pooled_prompts(root, chain)
                return checkpoint
    raise CheckpointError(f"{root}: modules {kinds!s:.200} are not a sparse encoder that is known here")


def _check_pooled_prompts(root: Path, chain: Sequence[Module]) -> None:
    """Refuse a pooling that leaves out the tokens of the prompt, where there are prompts."""
    prompts = read_json(root / _ROOT, optional=True).get("prompts")
    if not isinstance(prompts, dict) or not any(prompts.values()):
        return
    for path in (module.folder / "config.json" for module in chain if module.kind == "Pooling"):
        if read_json(path, optional=True).get("include_prompt", True) is not True:
            raise CheckpointError(f"{path}: include_prompt is not true, and there are prompts: not supported")
