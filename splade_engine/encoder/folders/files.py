"""The files of a model folder: their names, their limits, their configs. Torch-free."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from splade_engine import files
from splade_engine.encoder.settings import DEFAULT_MAX_LENGTH, is_integer, is_number
from splade_engine.errors import CheckpointError, SpladeEngineError

_LARGEST_JSON = 1 << 27  # an idf.json of a vocabulary of a million tokens is a quarter of that
UNBOUNDED = 1_000_000
"""Tokens per text: no limit. transformers writes 1e30."""
# whose positions are counted from behind the padding id, by `model_type`
_COUNTED = {
    "camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
# of which sentence-transformers takes the first that says anything
_TEXT_INPUTS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


def require_weights(folder: Path) -> None:
    """Refuse a folder without safetensors weights, or with an adapter; the error says how to convert them."""
    if adapter := next(folder.glob("adapter_model.*"), None):
        raise CheckpointError(
            f"{adapter}: an adapter (LoRA), which is not applied here; merge it into its model with peft's "
            "merge_and_unload(), and save that to a folder of its own"
        )
    if any(p.name.startswith("model") for p in folder.glob("*.safetensors")):
        return
    pickled = sorted(p.name for p in folder.glob("*.bin"))
    if pickled:
        found = read_json(folder / "config.json", optional=True).get("architectures")
        body = isinstance(found, list) and str(found[:1]).endswith("Model']")
        auto = "AutoModel" if body else "AutoModelForMaskedLM"
        raise CheckpointError(
            f"{folder}: weights only in {pickled[0]}, a pickle that can run code when it is read; "
            f"convert it in an environment you trust: transformers.{auto}"
            f".from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r}) writes model.safetensors"
        )
    raise CheckpointError(f"{folder}: no model.safetensors")


def copy_model(source: Path, folder: Path, patterns: Sequence[str], without: Sequence[str] = ()) -> None:
    """Copy the files of a model, but for those of a training run.

    Args:
        source: a model folder.
        folder: the other one; made as needed.
        patterns: of the names of its files, at any depth.
        without: names of files that stay behind.
    """
    for path in sorted({path for pattern in patterns for path in source.rglob(pattern)}):
        name = path.relative_to(source)
        if path.is_file() and not name.parts[0].startswith("checkpoint") and name.name not in without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)


def max_length_of(folder: Path, config: Mapping[str, Any], *, queries: bool = False) -> int:
    """The shortest limit that the sentence-transformers, tokenizer or model config names.

    Args:
        folder: of the model.
        config: its config.json.
        queries: whether the limit of queries is asked for, not that of documents.

    Raises:
        CheckpointError: a limit is no number of tokens.
    """
    limits = []
    inputs, file = text_inputs(folder)
    beside = folder / "tokenizer_config.json"
    for said, place, name in (
        (inputs, file, "query_length" if queries else "document_length"),
        (inputs, file, "max_seq_length"),
        (read_json(beside, optional=True), beside, "model_max_length"),
    ):
        value = said.get(name)
        if value is None:
            continue
        if not is_number(value) or value <= 0 or value != int(value):
            raise CheckpointError(f"{place}: {name} is {value!r:.80}, not a number of tokens")
        if value < UNBOUNDED:
            limits.append(int(value))
            break  # the first one that is set rules, as in sentence-transformers
    if positions := positions_of(config):
        limits.append(positions)
    return min(limits, default=DEFAULT_MAX_LENGTH)


def text_inputs(folder: Path) -> tuple[dict[str, Any], Path]:
    """What sentence-transformers is told to do with texts before the model sees them, and the file of it.

    Raises:
        CheckpointError: if the file holds no JSON object.
    """
    for name in _TEXT_INPUTS:
        if said := read_json(folder / name, optional=True):
            return said, folder / name
    return {}, folder / _TEXT_INPUTS[0]


def lowercases(folder: Path) -> bool:
    """Whether sentence-transformers lowercases texts before the tokenizer of this model sees them.

    Raises:
        CheckpointError: if its file says neither true nor false.
    """
    said, path = text_inputs(folder)
    return truth(said, "do_lower_case", False, path)


def truth(config: Mapping[str, Any], name: str, default: bool, path: Path) -> bool:
    """An entry of a config that is true or false; null stands for the default.

    Raises:
        CheckpointError: if it is something else.
    """
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise CheckpointError(f"{path}: {name} is {value!r:.80}, not true or false")
    return default if value is None else value


def positions_of(config: Mapping[str, Any]) -> int | None:
    """The longest input of a model, None if its config names no limit.

    Raises:
        CheckpointError: if the limit is no number of tokens.
    """
    positions = config.get("max_position_embeddings")
    if positions is None:
        return None
    offset = position_offset(config)
    if not is_integer(positions) or positions < 3 + offset:
        raise CheckpointError(f"max_position_embeddings is {positions!r:.80}, not a number of tokens")
    return positions - offset


def position_offset(config: Mapping[str, Any]) -> int:
    """Rows at the start of the position table that no token uses (RoBERTa counts from padding_idx + 1).

    Raises:
        CheckpointError: if the padding id is none.
    """
    kind = config.get("model_type")
    if kind not in _COUNTED:
        return 0
    pad = 1 if kind == "mpnet" else config.get("pad_token_id", 1)  # MPNet's code knows no other
    if not is_integer(pad) or not 0 <= pad < 1 << 24:
        raise CheckpointError(f"pad_token_id is {pad!r:.80}, not the id of a token")
    return 1 + pad


def existing(path: Path) -> Path:
    """`path` if the file is there, and is a file.

    Raises:
        CheckpointError: if not; for a link that leads nowhere, with what to do.
    """
    if not path.exists():
        if path.is_symlink():
            raise CheckpointError(
                f"{path}: a link to a file that is not here; copy the folder with its files: cp -rL"
            )
        raise CheckpointError(f"{path}: no such file")
    return regular(path)


def present(path: Path) -> bool:
    """Whether a file is there that a model may have or not.

    Raises:
        CheckpointError: something else has its name. Taken for absent, a link whose file was not copied
            would give other vectors.
    """
    if path.is_file():
        return True
    if path.exists() or path.is_symlink():
        existing(path)
    return False


def regular(path: Path) -> Path:
    """`path` if it is a file that can be read to its end: no pipe, no device, no folder.

    Raises:
        CheckpointError: if not.
    """
    if not path.exists():
        return existing(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise CheckpointError(f"{path}: {what}, expected a file")
    return path


def inside(folder: Path, sub: object, named_in: Path) -> Path:
    """The path of a file or folder that a config names, which has to lie in `folder`.

    Links may lead out of it, as those of the hub's cache do; a name may not.

    Raises:
        CheckpointError: if it is no relative path, or leaves the folder.
    """
    if not isinstance(sub, str):
        raise CheckpointError(f"{named_in}: {sub!r:.80} is not a path")
    if not sub.isprintable():  # the messages that name the file would carry its escape sequences
        raise CheckpointError(f"{named_in}: path {sub!r:.80} is no name of a file")
    pure = PurePosixPath(sub)
    if pure.is_absolute() or ".." in pure.parts or "\0" in sub or "\\" in sub:
        raise CheckpointError(f"{named_in}: path {sub!r:.80} leaves the folder")
    return folder / pure


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """A JSON object from a file; an empty one if it is optional and absent.

    Raises:
        CheckpointError: if there is no such file, or it holds no JSON object.
    """
    if optional and not present(path):
        return {}
    value = _parsed(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def read_json_list(path: Path) -> list[Any]:
    """A JSON array from a file.

    Raises:
        CheckpointError: if there is no such file, or it holds no JSON array.
    """
    value = _parsed(path)
    if not isinstance(value, list):
        raise CheckpointError(f"{path}: expected a JSON array, got {type(value).__name__}")
    return value


def _parsed(path: Path) -> Any:
    try:
        return files.read_json(existing(path), most=_LARGEST_JSON)
    except CheckpointError:
        raise
    except SpladeEngineError as error:
        raise CheckpointError(str(error)) from error
