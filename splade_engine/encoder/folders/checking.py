"""A broken model is refused when it is loaded: what its files say is compared before anything is allocated.

Looked at are headers, configs and tokenizers, a few milliseconds; whether the numbers are finite is known
when they are read, which is when the first text comes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.config import CONFIG, read_config
from splade_engine.encoder.folders.files import position_offset, regular
from splade_engine.encoder.folders.safetensors_file import (
    SHARDS,
    StoredTensor,
    read_header,
    weight_files,
    weight_map,
)
from splade_engine.encoder.settings import is_integer
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.tokens import TextTokenizer

logger = logging.getLogger(__name__)

MOST_LAYERS = 1000
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")
_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h)\.(\d{1,6})\.")
_SIZES = (
    "vocab_size", "hidden_size", "dim", "d_model", "n_embd", "embedding_size", "intermediate_size",
    "hidden_dim", "d_inner", "n_inner", "max_position_embeddings", "n_positions",
    "num_attention_heads", "n_heads", "n_head", "num_key_value_heads", "head_dim", "d_head",
)  # fmt: skip
# tables that are read by a number, and what the config calls their rows
_TABLES = {
    "position_embeddings.weight": "max_position_embeddings",
    "word_embeddings.weight": "vocab_size",
    "embed_tokens.weight": "vocab_size",
    "tok_embeddings.weight": "vocab_size",
}
# names that peft and its like give to what stands beside a weight
_ADAPTER = re.compile(r"\blora_\w+|\bmodules_to_save\b|\bbase_layer\b|\bia3_\w+|\badapters?\b")
# of weights in eight bits, which are floating-point numbers without them too
_SCALES = ("_scale", "_scale_inv")
# numbers that a model may allocate whatever its files hold: 128 MB
_HARMLESS = 1 << 25


def check_checkpoint(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose files cannot be what they say.

    Raises:
        CheckpointError: naming the file: a pipe or a device, weights that are cut short or missing, sizes
            that the weights do not have, tensors that are no numbers.
    """
    for folder in _folders(checkpoint):
        for path in folder.iterdir():
            if path.exists() and not path.is_dir():
                regular(path)
    _tell_of_code(checkpoint)
    if checkpoint.kind.in_safetensors:
        tensors = check_weights(checkpoint.model_folder)
        if checkpoint.positions is None:
            _check_reach(checkpoint, tensors)
    if isinstance(checkpoint.query, Checkpoint):
        check_checkpoint(checkpoint.query)


def _tell_of_code(checkpoint: Checkpoint) -> None:
    """Say that code which a folder names for its network is not run: it may compute something else."""
    path = checkpoint.model_folder / CONFIG
    named = read_config(checkpoint.model_folder, optional=True).get("auto_map")
    code = named.get(checkpoint.kind.auto_model, named.get("AutoModel")) if isinstance(named, dict) else None
    if isinstance(code, str):
        logger.warning(
            "%s: code of the model's own (auto_map: %.80s) is not run; the network is transformers' own of "
            "this model_type",
            path,
            code,
        )


def _folders(checkpoint: Checkpoint) -> set[Path]:
    """Every folder that the fields of a checkpoint and its kind name, and the root."""
    query = () if isinstance(checkpoint.query, Checkpoint) else (checkpoint.query,)
    values = [
        getattr(owner, field.name)
        for owner in (checkpoint, checkpoint.kind, *query)
        if owner is not None
        for field in fields(owner)
    ]
    return {value for value in values if isinstance(value, Path) and value.is_dir()}


def _check_reach(checkpoint: Checkpoint, tensors: dict[str, StoredTensor]) -> None:
    """Where the config names no limit, a long text would be looked up beyond the table of positions."""
    folder, length = checkpoint.model_folder, checkpoint.settings.max_length
    offset = position_offset(read_config(folder))
    for name, tensor in tensors.items():
        if name.endswith("position_embeddings.weight") and tensor.shape and tensor.shape[0] < length + offset:
            raise CheckpointError(
                f"{folder / CONFIG}: no max_position_embeddings, and {name:.80} has {tensor.shape[0]:,} rows "
                f"for texts of {length:,} tokens"
            )


def check_weights(folder: Path) -> dict[str, StoredTensor]:
    """Refuse weights that are cut short, incomplete, or not those of the config beside them.

    Returns:
        The tensors by their names.

    Raises:
        CheckpointError: naming the file.
    """
    tensors: dict[str, StoredTensor] = {}
    places: dict[str, Path] = {}
    for path in weight_files(folder):
        for name, tensor in read_header(path).items():
            if name in tensors:
                raise CheckpointError(f"{path}: {name:.80} is in {places[name].name} too")
            tensors[name], places[name] = tensor, path
    if not tensors:
        raise CheckpointError(f"{folder}: no tensors in model.safetensors")
    _check_shards(folder, places)
    for name, tensor in tensors.items():
        if found := _ADAPTER.search(name):
            raise CheckpointError(
                f"{folder}: {name:.120} is of an adapter ({found[0]}), which is not applied here; merge it "
                "into its model with peft's merge_and_unload()"
            )
        if any(name.endswith(end) and name.removesuffix(end) in tensors for end in _SCALES):
            raise CheckpointError(
                f"{folder}: {name:.80} is a scale of other weights: weights that were quantised are not read"
            )
        if not tensor.is_float and not _may_be_whole(name, tensor, tensors):
            raise CheckpointError(
                f"{folder}: {name:.80} is stored as {tensor.dtype}: weights that were quantised in this way "
                "are not read"
            )
    config = read_config(folder)
    _check_sizes(folder / CONFIG, config, sum(tensor.size for tensor in tensors.values()))
    _check_layers(folder / CONFIG, config, tensors)
    _check_tables(folder, config, tensors)
    return tensors


def _check_tables(folder: Path, config: dict[str, Any], tensors: dict[str, StoredTensor]) -> None:
    """A table with fewer rows than the config says would be read beyond its end, by a token or a position.

    With and without the prefix of a model, which of the two is read depends on their order.
    """
    for name, tensor in tensors.items():
        bare = name.partition(".")[2]
        for ending, size in _TABLES.items():
            if bare.endswith(ending) and bare in tensors:
                raise CheckpointError(
                    f"{folder}: two models: {name:.80} and {bare:.80} are among its weights"
                )
            rows = tensor.shape[0] if tensor.shape else 0
            if name.endswith(ending) and is_integer(config.get(size)) and rows < config[size]:
                raise CheckpointError(
                    f"{folder}: {name:.80} has {rows:,} rows, and config.json says {size} {config[size]:,}"
                )


def _may_be_whole(name: str, tensor: StoredTensor, tensors: dict[str, StoredTensor]) -> bool:
    """Buffers of positions and counts, and matrices of the compact format beside their scales."""
    if tensor.dtype == "I8":
        return name + ".scale" in tensors
    return not name.endswith((".weight", ".bias"))


def _check_shards(folder: Path, places: dict[str, Path]) -> None:
    """Every tensor lies in the shard that the index names."""
    for name, shard in weight_map(folder).items():
        if name not in places:
            raise CheckpointError(f"{folder / SHARDS}: {name:.80} is in none of the files of the weights")
        if places[name] != folder / shard:
            raise CheckpointError(
                f"{folder / SHARDS}: {name:.80} is in {places[name].name}, not in {shard:.80}"
            )


def _check_layers(path: Path, config: dict[str, Any], names: Iterable[str]) -> None:
    """Layers that the weights hold and the config does not name would be left out without a word."""
    found = [int(match.group(1)) for name in names if (match := _LAYER.search(name))]
    said = next((config[name] for name in _LAYERS if config.get(name)), None)
    if found and said is not None and max(found) >= said:
        raise CheckpointError(f"{path}: {said} layers, but the weights have {max(found) + 1}")


def _check_sizes(path: Path, config: dict[str, Any], numbers: int) -> None:
    """Refuse a config that asks for sizes beyond the weights.

    They would be allocated before anybody missed the weights.
    """
    for name in _LAYERS:
        _within(path, name, config.get(name), MOST_LAYERS)
    sizes = {name: _within(path, name, config.get(name), max(numbers, _HARMLESS)) for name in _SIZES}

    # DeBERTa has no table of them, and says 0
    types = _within(path, "type_vocab_size", config.get("type_vocab_size") or None, max(numbers, _HARMLESS))

    def first(*names: str) -> int:
        return next((sizes[n] for n in names if sizes[n]), 1)

    width = first("hidden_size", "dim", "d_model", "n_embd")
    for a, b in (
        (first("vocab_size"), first("embedding_size") if sizes["embedding_size"] else width),
        (width, first("intermediate_size", "hidden_dim", "d_inner", "n_inner")),
        (width, first("max_position_embeddings", "n_positions")),
        (width, types),
        (width, width),
    ):
        if a * b > max(numbers, _HARMLESS):
            raise CheckpointError(
                f"{path}: sizes of {a:,} by {b:,} for weights of {numbers:,} numbers: not their config"
            )


def _within(path: Path, name: str, value: Any, most: int) -> int:
    if value is None:
        return 0
    if not is_integer(value) or not 0 < value <= most:
        raise CheckpointError(f"{path}: {name} is {value!r:.80}, expected a whole number up to {most:,}")
    return value


def check_tokenizer(tokenizer: TextTokenizer, folder: Path, rows: int) -> None:
    """Refuse a tokenizer with more tokens than the model has rows, or with tokens in another segment.

    Where it has no more, but some ids lie beyond (a vocabulary with a hole), texts that hold one of those are
    refused.

    Raises:
        CheckpointError: naming both sizes, or the segment.
    """
    if tokenizer.size > rows:
        raise CheckpointError(
            f"{folder}: a tokenizer of {tokenizer.size} tokens for a model of {rows}: it belongs to another "
            "model, or the model was not resized for its added tokens"
        )
    segments = read_config(folder, optional=True).get("type_vocab_size")
    if tokenizer.last_segment and is_integer(segments) and segments > 1:
        raise CheckpointError(
            f"{folder}: its tokenizer puts tokens of a text into segment {tokenizer.last_segment}: only the "
            "first one, 0, is computed"
        )
    if tokenizer.largest_id >= rows:
        logger.warning(
            "%s: the tokenizer has ids up to %d, the model %d rows: texts with such a token are refused",
            folder,
            tokenizer.largest_id,
            rows,
        )
        tokenizer.limit_ids(rows)


def rows_of(checkpoint: Checkpoint) -> int:
    """Token ids that the model of a checkpoint knows.

    Raises:
        CheckpointError: if its config does not say.
    """
    from splade_engine.encoder.kind import size_of

    return size_of(checkpoint.model_folder / "config.json", "vocab_size")
