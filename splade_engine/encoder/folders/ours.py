"""Our own layout: a transformers folder whose config.json has a `splade_engine` section.

The section says how vectors are made.

    config.json                 the model's config and the section: format, kind, settings
    (`EncoderSettings`), and
                                the names of the files beside it
    model.safetensors           the model, as transformers stores it
    tokenizer.json, tokenizer_config.json
    query_weights.safetensors   optional, `weight` float32[V]: the inference-free query table
    dense_head.safetensors      optional, the second head (`fast/dense_head.py`)
    modules.json                where sentence-transformers would make other vectors of the folder: names
                                the one module that makes ours (`encoder/st_module.py`);
                                config_sentence_transformers.json beside it

A model for each side is two such folders, `document/` and `query/`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import DENSE_HEAD, Checkpoint, QueryTable
from splade_engine.encoder.folders.files import existing, inside, max_length_of, positions_of, read_json
from splade_engine.encoder.folders.hub import DEFAULT, MODELS
from splade_engine.encoder.folders.tokenizer import save_tokenizer
from splade_engine.encoder.kind import Kind
from splade_engine.encoder.kinds import KINDS
from splade_engine.encoder.settings import SETTING_NAMES, EncoderSettings, blaming, is_integer
from splade_engine.errors import CheckpointError
from splade_engine.files import write_json

if TYPE_CHECKING:
    from splade_engine.encoder.fast.dense_head import DenseHead
    from splade_engine.encoder.tokens import TextTokenizer

SECTION = "splade_engine"
QUERY_WEIGHTS = "query_weights.safetensors"

ST_MODULE = "splade_engine.encoder.st_module.WholeEncoder"
"""The class that a folder of ours names to sentence-transformers."""

# written whether they are the default or not: a reader sees what the model does
_ALWAYS = ("pooling", "activation", "special_tokens", "max_length")


def read_ours(folder: Path, name: str, config: dict[str, Any]) -> Checkpoint:
    """The checkpoint of a folder whose config.json holds a `splade_engine` section.

    Raises:
        CheckpointError: naming the setting or the file that is wrong.
    """
    path = folder / "config.json"
    with blaming(path):
        section = config[SECTION]
        if not isinstance(section, dict):
            raise CheckpointError(f"{SECTION} is not a JSON object")
        section = dict(section)
        version = section.pop("format", 1)
        if version != 1:
            raise CheckpointError(f"splade_engine format {version!r:.80}, this release reads 1")
        named = section.pop("name", name)
        if not isinstance(named, str) or not named.isprintable() or len(named) > 200:
            raise CheckpointError(f"name is {named!r:.80}, not a line of text")
        section.pop("scheme", None)
        quantized = section.pop("quantized", False)
        if not isinstance(quantized, bool):
            raise CheckpointError(f"quantized is {quantized!r:.80}, not true or false")
        kind = _kind(folder, section)
        found = kind.positions(positions_of(config))
        positions = section.pop("positions", found)
        if positions is not None and (not is_integer(positions) or positions < 3):
            raise CheckpointError(f"positions is {positions!r:.80}, not a number of tokens")
        query, head = section.pop("query_weights", None), section.pop("dense_head", None)
        base = _base(section.pop("base", None), quantized)
        settings = EncoderSettings.from_section(section, max_length=max_length_of(folder, config))
        if unknown := sorted(set(section) - set(SETTING_NAMES)):
            raise CheckpointError(f"unknown splade_engine setting {unknown[0]!r:.80}")
    own = base or folder
    checkpoint = Checkpoint(
        folder=folder,
        name=named,
        kind=kind,
        model_folder=folder,
        settings=settings,
        positions=positions,
        query=QueryTable(own, existing(inside(own, query, path))) if query else None,
        quantized=quantized,
        base=base,
        dense_head=existing(inside(own, head, path)) if head else None,
    )
    return kind.with_queries(checkpoint)


def _base(name: Any, quantized: bool) -> Path | None:
    """The folder that lends what a compact one lacks: the larger bundled encoder, and no other."""
    if name is None:
        return None
    if name != DEFAULT or not quantized:
        raise CheckpointError(f"base is {name!r:.80}: only {DEFAULT} can be one, of a compact folder")
    return MODELS / DEFAULT


def _kind(folder: Path, section: dict[str, Any]) -> Kind:
    name = section.pop("kind", "mlm")
    for kind in KINDS:
        if kind.name == name:
            return kind.from_section(folder, section)
    raise CheckpointError(f"kind {name!r:.80} is not one of {', '.join(sorted(k.name for k in KINDS))}")


def section_of(kind: Kind, settings: EncoderSettings) -> dict[str, Any]:
    """The section that `read_ours` reads, without the names of files."""
    named = {name: getattr(settings, name) for name in _ALWAYS}
    return {"format": 1, "kind": kind.name, **named, **settings.to_section(), **kind.to_section()}


def write_model(
    folder: Path,
    *,
    kind: Kind,
    settings: EncoderSettings,
    tokenizer: TextTokenizer,
    weights: Callable[[Path], None],
    query_weights: NDArray[np.float32] | None = None,
    dense_head: DenseHead | None = None,
) -> None:
    """Write a model in our own layout into an existing folder.

    Args:
        folder: receives the files.
        kind: of the model.
        settings: how vectors are made.
        tokenizer: of documents and queries.
        weights: writes config.json and the weight files, as `save_pretrained` does.
        query_weights: float32[V], the inference-free query table; None encodes queries like documents.
        dense_head: a second head; None for none.
    """
    weights(folder)
    section = section_of(kind, settings)
    if query_weights is not None:
        write_table(query_weights, folder / QUERY_WEIGHTS)
        section["query_weights"] = QUERY_WEIGHTS
    if dense_head is not None:
        from splade_engine.encoder.fast.dense_head import save_dense_head

        save_dense_head(dense_head, folder / DENSE_HEAD)
        section["dense_head"] = DENSE_HEAD
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, SECTION: section})
    save_tokenizer(tokenizer, folder, max_length=settings.max_length)
    plain = query_weights is None and dense_head is None and kind.name == "mlm"
    if not plain or settings != EncoderSettings(max_length=settings.max_length):
        write_st_module(folder)


def write_st_module(folder: Path) -> None:
    """Name our module to sentence-transformers, which would make other vectors of a folder of ours."""
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": ST_MODULE}])
    # else it takes the folder for a dense encoder; prompts are put before the texts by our module
    prompts = {"query": "", "document": ""}
    root = {"model_type": "SparseEncoder", "prompts": prompts, "similarity_fn_name": "dot"}
    write_json(folder / "config_sentence_transformers.json", root)


def write_table(table: NDArray[np.float32], path: Path) -> None:
    """Weights of a query table, float32[V], as `weight` in a safetensors file."""
    from safetensors.numpy import save_file

    weights = np.ascontiguousarray(table, dtype=np.float32)
    save_file({"weight": weights}, path, metadata={"format": "pt"})


def write_copy(checkpoint: Checkpoint, out: Path) -> None:
    """Write a checkpoint that sentence-transformers has no modules for as the folder that it is.

    A section says its settings; where queries are its own matter, it is recognised again by its tensors.
    """
    from splade_engine.encoder.tokens import TextTokenizer

    config = read_json(checkpoint.model_folder / "config.json")
    if SECTION in config or checkpoint.query is None:
        config[SECTION] = section_of(checkpoint.kind, checkpoint.settings)
        if isinstance(checkpoint.query, QueryTable) and checkpoint.query.weights is not None:
            shutil.copyfile(checkpoint.query.weights, out / checkpoint.query.weights.name)
            config[SECTION]["query_weights"] = checkpoint.query.weights.name
        if checkpoint.dense_head is not None:
            shutil.copyfile(checkpoint.dense_head, out / DENSE_HEAD)
            config[SECTION]["dense_head"] = DENSE_HEAD
    write_json(out / "config.json", config)
    tokenizer = TextTokenizer(checkpoint.model_folder, checkpoint.settings.max_length)
    save_tokenizer(tokenizer, out, like=checkpoint.model_folder)
    checkpoint.kind.write_files(checkpoint, out)


def copy_weights(checkpoint: Checkpoint, out: Path) -> None:
    """The weight files of the model folder, byte for byte."""
    for file in sorted(checkpoint.model_folder.glob("model*.safetensors*")):
        shutil.copyfile(file, out / file.name)
