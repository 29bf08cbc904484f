"""sentence_bert_config.json: what sentence-transformers does with a text, and how it loads the model.

Followed elsewhere are `max_seq_length`, `document_length`, `query_length` and `do_lower_case`. Whatever else
would change what the model sees is refused here. Torch-free.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.config import CONFIG as MODEL
from splade_engine.encoder.folders.files import read_json, text_inputs
from splade_engine.encoder.folders.tokenizer_class import CONFIG
from splade_engine.errors import CheckpointError

# settings of tokenizer, network and weights, under the names of several releases, and the file that has to
# say the same
_TOLD = {
    "tokenizer_args": CONFIG,
    "tokenizer_kwargs": CONFIG,
    "processor_kwargs": CONFIG,
    "config_args": MODEL,
    "config_kwargs": MODEL,
    "model_args": MODEL,
    "model_kwargs": MODEL,
}
# `dtype`: the precision is the caller's
_DECIDE_NOTHING = {
    "attn_implementation", "cache_dir", "clean_up_tokenization_spaces", "device_map", "dtype",
    "local_files_only", "low_cpu_mem_usage", "pad_to_multiple_of", "padding", "padding_side",
    "return_tensors", "revision", "token", "torch_dtype", "trust_remote_code", "use_cache", "use_fast",
    "use_safetensors",
}  # fmt: skip
# what of a model is taken, by what its kind makes it do
_OUTPUTS = {"fill-mask": "logits", "feature-extraction": "last_hidden_state"}


def check_inputs(folder: Path, task: str | None) -> None:
    """Refuse settings that would change what a model sees and are not followed.

    Args:
        folder: of the transformer.
        task: what its kind makes the transformer do; None: it has no module of that.

    Raises:
        CheckpointError: naming the setting and its value.
    """
    config, path = text_inputs(folder)
    said = config.get("transformer_task")
    if task is not None and said not in (None, task):
        raise CheckpointError(f"{path}: transformer_task is {said!r:.80}, and its modules need {task}")
    for name, file in _TOLD.items():
        for key, value in _settings(config, name, path).items():
            if key not in _DECIDE_NOTHING and read_json(folder / file, optional=True).get(key) != value:
                raise CheckpointError(
                    f"{path}: {name} sets {key!r:.60} to {value!r:.60}, and {file} does not: make both say "
                    "the same"
                )
    if config.get("tokenizer_name_or_path") is not None:
        raise CheckpointError(f"{path}: tokenizer_name_or_path: not supported, put the tokenizer beside it")
    if task is not None:
        _check_output(config, task, path)
    processing = _settings(config, "processing_kwargs", path)
    for bucket in ("common", "text"):
        for key, value in _settings(processing, bucket, path).items():
            if key not in _DECIDE_NOTHING and (key, value) != ("truncation", True):
                raise CheckpointError(f"{path}: processing_kwargs sets {key!r:.60}: not supported")
    if config.get("query_expansion"):
        raise CheckpointError(f"{path}: query_expansion: not supported")


def _check_output(config: dict[str, Any], task: str, path: Path) -> None:
    """Refuse another output of the model than the modules are known to take, and chats made of texts."""
    if "modality_config" not in config:
        return
    modes = _settings(config, "modality_config", path)
    wanted = {"method": "forward", "method_output_name": _OUTPUTS[task]}
    if modes.get("text") != wanted or "message" in modes:
        raise CheckpointError(
            f"{path}: modality_config is {modes!r:.200}: only {wanted} of text is supported"
        )
    if (name := config.get("module_output_name")) not in (None, "token_embeddings"):
        raise CheckpointError(f"{path}: module_output_name is {name!r:.80}, not token_embeddings")


def _settings(config: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    found = config.get(name)
    if found is not None and not isinstance(found, dict):
        raise CheckpointError(f"{path}: {name} is {found!r:.80}, not a JSON object")
    return found or {}
