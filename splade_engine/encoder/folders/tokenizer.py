"""The tokenizer of a model folder: which files it is made of, reading it, writing it.

Needs `tokenizers` only.

A tokenizer is `tokenizer.json`; or a `vocab.txt` of WordPiece tokens, as older checkpoints ship it; or what
transformers can convert. Beside tokenizer.json three things in tokenizer_config.json decide something:
`truncation_side`, and what is said of letters (`told_letters.py`) and of tokens (`told_tokens.py`, where two
older files may say it too). Of the other forms all files do.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import struct
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from splade_engine.encoder.folders import rebuilt, told_letters, told_tokens
from splade_engine.encoder.folders.files import present, read_json
from splade_engine.encoder.folders.tokenizer_class import CONFIG as _CONFIG
from splade_engine.encoder.folders.tokenizer_class import code_beside, read_tokenizer_config
from splade_engine.encoder.folders.told_tokens import content_of
from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError, reason_of
from splade_engine.files import file_stamp, parsed_json, write_json

if TYPE_CHECKING:
    from splade_engine.encoder.tokens import TextTokenizer

logger = logging.getLogger(__name__)

# how the library begins a tokenizer.json: all of one is up to 30 MB
_HEAD = re.compile(r'\s*\{\s*"version"\s*:\s*"[^"]*"\s*,\s*"truncation"\s*:\s*(null|\{[^{}]*\})')
# what transformers reads where there is no tokenizer.json
_OTHER_FORMS = (
    "vocab.txt", "vocab.json", "merges.txt", "bpe.codes", "dict.txt", "sentencepiece.bpe.model",
    "spiece.model", "spm.model", "tokenizer.model", "added_tokens.json", "special_tokens_map.json", _CONFIG,
)  # fmt: skip
_VOCABULARIES = tuple(
    n for n in _OTHER_FORMS if not n.endswith(("_config.json", "_tokens.json", "_map.json"))
)
_LARGEST = 1 << 28  # bytes; the largest vocabularies in use take a tenth
_PATIENCE = 10.0  # seconds for what takes a millisecond
# runs that a pattern may share out in many ways, and something behind them that it may not end with
_TRICKY = tuple(
    run * 300 + end
    for run in ("a", "x", "A", "1", " ", "-", ".", "_", "ab ", "a1", "\u00e9", "\u4e2d", "\n")
    for end in ("", "!", "\u2028")
)
_MOST_GROWTH = 1000  # characters that a normaliser may make of one
# what transformers needs to be told about a bare tokenizer.json (BERT's names, then RoBERTa's)
_SPECIAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
# entries that name where a tokenizer was
_ORIGIN = ("name_or_path", "special_tokens_map_file", "tokenizer_file", "is_local", "local_files_only")


def tokenizer_files(folder: Path) -> list[Path]:
    """The files that make the tokenizer of a folder; `truncation_side` comes on top."""
    if present(folder / "tokenizer.json"):
        return [folder / "tokenizer.json"]
    if present(folder / "vocab.txt"):
        return [p for p in (folder / "vocab.txt", folder / _CONFIG) if present(p)]
    return [folder / name for name in _OTHER_FORMS if present(folder / name)]


def truncation_side(folder: Path) -> Literal["left", "right"]:
    """The end at which long texts are cut: as tokenizer_config.json says, else tokenizer.json, else right.

    Raises:
        CheckpointError: if tokenizer_config.json names none of the two.
    """
    config = read_json(folder / _CONFIG, optional=True)
    side = config["truncation_side"] if "truncation_side" in config else _direction(folder)
    if side == "left":
        return "left"
    if side == "right":
        return "right"
    raise CheckpointError(f"{folder / _CONFIG}: truncation_side is {side!r:.80}, not left or right")


def _direction(folder: Path) -> str:
    """The end at which tokenizer.json says that texts are cut; "right" where it says nothing."""
    path = folder / "tokenizer.json"
    if not present(path):
        return "right"
    with path.open(encoding="utf-8", errors="replace") as file:
        head = _HEAD.match(file.read(4096))
    try:
        cut = parsed_json(_text(path)).get("truncation") if head is None else json.loads(head[1])
    except (ValueError, AttributeError, RecursionError):
        return "right"  # loading it says what is wrong
    return str(cut.get("direction", "right")).lower() if isinstance(cut, dict) else "right"


def overridden(folder: Path) -> dict[str, Any]:
    """What other files than `tokenizer_files` say otherwise, and acts: of letters, and of tokens.

    Raises:
        CheckpointError: as `told_letters.told` and `told_tokens.said`.
    """
    path = folder / "tokenizer.json"
    if not present(path):
        return told_tokens.told_by_older_files(folder) if present(folder / "vocab.txt") else {}
    config = read_tokenizer_config(folder)
    saved = _saved(path, file_stamp(path))
    if saved is None:
        return {}
    letters = told_letters.told(config, saved["normalizer"], folder / _CONFIG)
    return letters | told_tokens.told(told_tokens.said(folder)[0], saved)


@lru_cache(maxsize=8)
def _saved(path: Path, stamp: tuple[int, ...] | None) -> dict[str, Any] | None:
    """What is looked at of the tokenizer.json that has this stamp; None where it cannot be read."""
    try:
        saved = parsed_json(_text(path))
        return {name: saved.get(name) for name in ("normalizer", "pre_tokenizer", "added_tokens")}
    except (ValueError, AttributeError, RecursionError):
        return None  # loading it says what is wrong


def load_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder.

    Raises:
        CheckpointError: if there is none, or it is broken.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    config = read_tokenizer_config(folder)
    if present(path):
        text = _text(path)
        _check_growth(path, text)
        with refusing(path, "not a tokenizer file"):
            tokenizer = _filled(Tokenizer.from_str(text), path)
        beside = folder / _CONFIG
        if code := code_beside(folder):
            logger.warning("%s: tokenizer.json is followed; %.80s, which reads it, is not run", folder, code)
        told_letters.follow(tokenizer, config, beside)
        of_tokens, place = told_tokens.said(folder)
        with refusing(place, "what it says of tokens"):
            told_tokens.follow(tokenizer, of_tokens, place)
            rebuilt.tell_if_read_otherwise(tokenizer, config, folder)
        if '"Regex"' in text:
            _check_patience(tokenizer, path)
        return tokenizer
    if present(folder / "vocab.txt"):
        return _wordpiece(folder / "vocab.txt", *told_tokens.said(folder))
    if not any(present(folder / name) for name in _VOCABULARIES):
        raise CheckpointError(f"{folder}: no tokenizer: neither tokenizer.json nor a vocabulary")
    return _filled(_converted(folder), folder)


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes, too many for a tokenizer")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not a tokenizer file: {reason_of(error)}") from error


def _filled(tokenizer: Any, path: Path) -> Any:
    """The tokenizer, if it has tokens that are not special, and gives a text the same tokens each time."""
    if dropout := getattr(tokenizer.model, "dropout", None):
        raise CheckpointError(f"{path}: dropout {dropout:g}: a text would become other tokens each time")
    special = sum(token.special for token in tokenizer.get_added_tokens_decoder().values())
    if tokenizer.get_vocab_size(with_added_tokens=True) <= special:
        raise CheckpointError(f"{path}: a tokenizer of {special} special tokens and no other: no vocabulary")
    return tokenizer


def _check_growth(path: Path, text: str) -> None:
    """Refuse a normaliser that makes long texts of short ones: replacements that multiply one another.

    Raises:
        CheckpointError: if a character may become more than `_MOST_GROWTH`.
    """
    try:
        normalizer = parsed_json(text).get("normalizer")
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a tokenizer file: {reason_of(error)}") from error
    growth, waiting = 1.0, [normalizer]
    while waiting:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        found = step.get("normalizers")
        waiting += found if isinstance(found, list) else []
        growth *= _growth(step)
        if isinstance(prepend := step.get("prepend"), str):
            growth += len(prepend)
        if growth > _MOST_GROWTH:
            raise CheckpointError(
                f"{path}: its normalizer can make more than {_MOST_GROWTH:,} characters of one: refused"
            )


def _check_patience(tokenizer: Any, path: Path) -> None:
    """Refuse a pattern that gets lost in ordinary texts: `(a+)+$` tries every way to share out a run of "a".

    The library gives up after 10 million steps at one place, and panics; a pattern that stays below that at
    each of many places would take for ever.

    Raises:
        CheckpointError: if one of some texts cannot be read, or takes longer than `_PATIENCE`.
    """
    raised: list[BaseException] = []

    def read() -> None:
        try:
            for text in _TRICKY:
                tokenizer.encode(text)
        except BaseException as error:  # a panic of the library is no Exception
            raised.append(error)

    thread = threading.Thread(target=read, name="tokenizer", daemon=True)  # it cannot be stopped, only left
    thread.start()
    thread.join(_PATIENCE)
    if thread.is_alive():
        raise CheckpointError(f"{path}: a pattern takes more than {_PATIENCE:g} s for a short text: refused")
    if raised:
        reason = reason_of(raised[0])
        raise CheckpointError(f"{path}: a pattern cannot read ordinary texts ({reason}): refused")


def _growth(step: dict[str, Any]) -> float:
    """How many characters one step of a normaliser may make of one."""
    pattern, content = step.get("pattern"), step.get("content")
    if isinstance(content, str):
        exact = pattern.get("String") if isinstance(pattern, dict) else None
        least = len(exact) if isinstance(exact, str) and exact else 0
        return max(1.0, len(content) / least if least else 1 + len(content))
    if isinstance(charsmap := step.get("precompiled_charsmap"), str):
        # sentencepiece: the size of a trie, the trie, and texts that end with NUL, of which it names one for
        # what it finds
        try:
            data = base64.b64decode(charsmap)
            (size,) = struct.unpack_from("<I", data)
        except (ValueError, struct.error):
            return 1.0  # the tokenizer library refuses it, and says why
        texts = data[4 + size :].split(b"\0")
        return float(max(1, *(len(text.decode(errors="replace")) for text in texts)))
    return 1.0


def _wordpiece(path: Path, config: dict[str, Any], beside: Path) -> Any:
    """BERT's tokenizer from its vocabulary alone, as older checkpoints ship it."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    lines = _text(path).split("\n")
    vocabulary = {token.rstrip("\r"): i for i, token in enumerate(lines) if token.rstrip("\r")}
    unknown, first, last, padding, mask = (
        content_of(config.get(f"{role}_token"), f"[{role.upper()}]")
        for role in ("unk", "cls", "sep", "pad", "mask")
    )
    for token in (unknown, first, last):
        if token not in vocabulary:
            raise CheckpointError(f"{path}: no {token} among its {len(vocabulary)} tokens")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(**told_letters.letters_said(config, beside))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    special = (padding, unknown, first, last, mask)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special if t in vocabulary])
    told_tokens.follow(tokenizer, config, beside)
    return tokenizer


def _converted(folder: Path) -> Any:
    """A sentencepiece model or an unusual layout: transformers knows how to convert it."""
    from transformers import AutoTokenizer

    for path in tokenizer_files(folder):
        if path.suffix == ".json":
            read_json(path)  # transformers would take the last of two values
    with refusing(folder, "no tokenizer.json, and no tokenizer to convert"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = tokenizer.backend_tokenizer
    from tokenizers import Tokenizer

    return Tokenizer.from_str(backend.to_str())


def save_tokenizer(
    tokenizer: TextTokenizer, folder: Path, *, like: Path | None = None, max_length: int | None = None
) -> None:
    """Write `tokenizer.json` without truncation or padding, and the model's limit beside it.

    Args:
        tokenizer: what is written.
        folder: receives the two files.
        like: folder whose tokenizer_config.json is kept; None writes the entries that transformers needs.
        max_length: becomes `model_max_length`; None: the tokenizer's own.
    """
    tokenizer.save(folder / "tokenizer.json", pretty=like is None)
    config = {} if like is None else read_json(like / _CONFIG, optional=True)
    if not config:
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        for role, names in _SPECIAL.items():
            for name in names:
                if tokenizer.token_id(name) is not None:
                    config[role] = name
        if tokenizer.truncation_side == "left":
            config["truncation_side"] = "left"
    config = {k: v for k, v in config.items() if k not in _ORIGIN}
    write_json(folder / _CONFIG, {**config, "model_max_length": max_length or tokenizer.max_length})
