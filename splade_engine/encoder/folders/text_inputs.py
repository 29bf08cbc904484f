"""sentence_bert_config.json: what sentence-transformers does with a text before the model sees it.

Followed elsewhere are `max_seq_length`, `document_length` and `do_lower_case`. Whatever else would change
what the model sees is refused here, or told of. Torch-free.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.tokenizer_class import CONFIG
from splade_engine.errors import CheckpointError

logger = logging.getLogger(__name__)

_NAME = "sentence_bert_config.json"
# settings of the tokenizer under the names of several releases, and of how it is called
_OF_TOKENIZER = ("tokenizer_args", "tokenizer_kwargs", "processor_kwargs")
_LENGTHS = ("document_length", "query_length")
_DECIDE_NOTHING = {
    "clean_up_tokenization_spaces", "local_files_only", "pad_to_multiple_of", "padding", "padding_side",
    "return_tensors", "revision", "trust_remote_code", "use_fast",
}  # fmt: skip


def check_inputs(folder: Path, task: str | None) -> None:
    """Refuse settings that would change what a model sees and are not followed; the log tells of milder ones.

    Args:
        folder: of the transformer.
        task: what its kind makes the transformer do; None: it has no module of that.

    Raises:
        CheckpointError: naming the setting and its value.
    """
    path = folder / _NAME
    config = read_json(path, optional=True)
    said = config.get("transformer_task")
    if task is not None and said not in (None, task):
        raise CheckpointError(f"{path}: transformer_task is {said!r:.80}, and its modules need {task}")
    beside = read_json(folder / CONFIG, optional=True)
    for name in _OF_TOKENIZER:
        for key, value in _settings(config, name, path).items():
            if key not in _DECIDE_NOTHING and beside.get(key) != value:
                raise CheckpointError(
                    f"{path}: {name} sets {key!r:.60} to {value!r:.60}, and {CONFIG} does not: make both say "
                    "the same"
                )
    processing = _settings(config, "processing_kwargs", path)
    for bucket in ("common", "text"):
        for key, value in _settings(processing, bucket, path).items():
            if key not in _DECIDE_NOTHING and (key, value) != ("truncation", True):
                raise CheckpointError(f"{path}: processing_kwargs sets {key!r:.60}: not supported")
    if config.get("query_expansion"):
        raise CheckpointError(f"{path}: query_expansion: not supported")
    document, query = (config.get(name) or config.get("max_seq_length") for name in _LENGTHS)
    if query not in (None, document):
        logger.warning("%s: queries are cut where documents are, not at %.20r tokens", path, query)


def _settings(config: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    found = config.get(name)
    if found is not None and not isinstance(found, dict):
        raise CheckpointError(f"{path}: {name} is {found!r:.80}, not a JSON object")
    return found or {}
