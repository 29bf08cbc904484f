"""What tells two encoders apart: a hash over everything that decides vectors.

It walks the fields of the checkpoint: a path is hashed by what the file holds, a folder by the files of it
that decide anything, a value as it is. No field is listed, so none can be forgotten; those that decide
nothing are. Where and in which precision an encoder runs is no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.files import present, read_json
from splade_engine.encoder.folders.ours import SECTION
from splade_engine.encoder.folders.safetensors_file import SHARDS
from splade_engine.encoder.folders.tokenizer import overridden, tokenizer_files, truncation_side
from splade_engine.encoder.settings import PHRASE_SETTINGS, EncoderSettings
from splade_engine.files import Digest, digest_of_file, file_stamp

Look = Callable[[Path], str]

VERSION = 2
"""Of the hash. Version 1 saw neither lower-casing nor the truncation side, nor all files."""

# where a model is and what it is called; how long a text it could take (what it takes is among the settings)
_DECIDES_NOTHING = {"folder", "name", "positions"}
_HOW_PUT_TOGETHER = (SHARDS, "adapter_config.json")
# whose positions earlier releases numbered through: a text with the padding token has got other vectors
_POSITIONS_CHANGED = ("camembert", "roberta", "xlm-roberta")
_CONFIG_DECIDES_NOTHING = (SECTION, "_name_or_path", "transformers_version")


def checkpoint_hash(checkpoint: Checkpoint) -> str:
    """xxh3-128 of everything that decides the vectors of a checkpoint, as 32 hexadecimal digits.

    Files are read at some 30 GB/s: 1 ms for the bundled model. The same on every machine that holds the same
    files, wherever they lie.
    """
    return _walked(checkpoint, cache(digest_of_file))


def checkpoint_stamp(checkpoint: Checkpoint) -> str:
    """The same over the places, sizes and dates of the files, which are not read.

    Raises:
        OSError: one of them is gone.
    """
    return _walked(checkpoint, _stamp)


def _stamp(path: Path) -> str:
    stamp = file_stamp(path)
    if stamp is None:
        raise FileNotFoundError(path)
    return " ".join(map(str, stamp))


def _walked(checkpoint: Checkpoint, look: Look) -> str:
    total = Digest()
    for label, value in _parts("", checkpoint, look):
        total.update(f"{label}={value}\n".encode())
    return total.text()


def _parts(label: str, value: Any, look: Look) -> Iterator[tuple[str, str]]:
    """Every value below `value` with the fields that lead to it; `look` says what a file is."""
    if is_dataclass(value) and not isinstance(value, type):
        yield f"{label}.type", getattr(value, "name", "") if hasattr(type(value), "name") else ""
        for field in fields(value):
            if not _decides_nothing(value, field.name):
                yield from _parts(f"{label}.{field.name}", getattr(value, field.name), look)
    elif isinstance(value, Path) and value.is_dir():
        for name, digest in _folder(value, look):
            yield f"{label}/{name}", digest
    elif isinstance(value, Path):
        yield label, look(value)
    else:
        yield label, json.dumps(value, sort_keys=True)


def _decides_nothing(value: Any, name: str) -> bool:
    if isinstance(value, EncoderSettings):  # what is not looked at; earlier releases had none of these
        if name == "query_max_length":
            return value.query_max_length is None
        if name == "sparsemax_mass":
            return value.activation != "sparsemax"
        looked_at = {"none": (), "words": PHRASE_SETTINGS[:2], "pairs": PHRASE_SETTINGS}[value.phrase_terms]
        return name in PHRASE_SETTINGS and name not in looked_at
    if isinstance(value, Checkpoint) and name in ("neighbours", "base"):  # earlier releases had none either
        return getattr(value, name) is None
    return isinstance(value, Checkpoint) and name in _DECIDES_NOTHING


def _folder(folder: Path, look: Look) -> Iterator[tuple[str, str]]:
    """What decides vectors in a folder: weights and how they are put together, config, tokenizer."""
    named = [folder / name for name in _HOW_PUT_TOGETHER if present(folder / name)]
    tokenizer = tokenizer_files(folder)
    for path in sorted({*folder.glob("*.safetensors"), *named, *tokenizer}):
        yield path.name, look(path)
    if tokenizer:
        yield "truncation_side", truncation_side(folder)
        if other := overridden(folder):
            yield "letters", json.dumps(other, sort_keys=True)  # and tokens, under the name of before
    if present(folder / "config.json"):
        config = read_json(folder / "config.json")
        kept = {k: v for k, v in config.items() if k not in _CONFIG_DECIDES_NOTHING}
        yield "config.json", json.dumps(kept, sort_keys=True)
        if config.get("model_type") in _POSITIONS_CHANGED:
            yield "positions", "counted"


def described(checkpoint: Checkpoint, name: str) -> dict[str, str | int]:
    """What people want to know of an encoder beside its hash."""
    settings = checkpoint.settings
    return {
        "name": name,
        "kind": checkpoint.kind.name,
        "n_terms": checkpoint.n_terms + settings.extra_terms,
        "max_length": settings.max_length,
        "pooling": settings.pooling,
        "activation": settings.activation,
        "special_tokens": settings.special_tokens,
        "top_k": settings.top_k or 0,
        "long_texts": settings.long_texts,
        "queries": "table" if isinstance(checkpoint.query, QueryTable) else "model",
    }


# ---- version 1: to open what it was written into ---------------------------------------------------------

_FILES_1 = {
    "config.json", "tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "tokenizer.model",
    "spiece.model",
}  # fmt: skip


def checkpoint_hash_1(checkpoint: Checkpoint) -> str:
    """The hash of version 1, which indexes and encodings of earlier releases carry."""
    total = Digest()
    for path in sorted(_files_1(checkpoint)):
        total.update(f"{path.name}:{digest_of_file(path)}\n".encode())
    s = checkpoint.settings
    values = (
        checkpoint.kind.name, s.pooling, s.activation, s.special_tokens, s.document_prompt, s.query_prompt,
    )  # fmt: skip
    own: list[object] = [s.min_weight] if s.min_weight else []
    if isinstance(checkpoint.query, QueryTable) and (s.query_counts or s.query_top_k):
        own.append((s.query_counts, s.query_top_k))
    total.update(repr((*values, *own)).encode())
    return total.text()


def _files_1(checkpoint: Checkpoint) -> set[Path]:
    folders = {checkpoint.model_folder}
    autoencoder = getattr(checkpoint.kind, "autoencoder", None)
    if autoencoder is not None:
        folders.add(autoencoder)
    wanted: set[Path] = set()
    if isinstance(checkpoint.query, QueryTable):
        folders.add(checkpoint.query.folder)
        wanted |= {checkpoint.query.weights} if checkpoint.query.weights else set()
    elif checkpoint.query is not None:
        wanted |= _files_1(checkpoint.query)
    for folder in folders:
        for path in folder.iterdir():
            if path.is_file() and (path.suffix == ".safetensors" or path.name in _FILES_1):
                wanted.add(path)
    return wanted
