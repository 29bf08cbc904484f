"""`TextTokenizer`: texts to token ids, with the truncated ones counted. Needs `tokenizers` only."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.folders.files import read_json
from splade_engine.errors import CheckpointError, InvalidInputError

logger = logging.getLogger(__name__)

Ids = NDArray[np.int32]


class TextTokenizer:
    """The tokenizer of a model folder, without padding.

    Args:
        folder: holds `tokenizer.json`, or a `vocab.txt` of WordPiece tokens, or what transformers can
            convert.
        max_length: tokens per text, special tokens included; longer texts are cut.
        lowercase: lowercase texts first (sentence-transformers' `do_lower_case`).
        overlap: tokens that two windows of `encode_windows` share, so that every token is seen with what
            stands around it.

    Raises:
        CheckpointError: if there is no tokenizer in the folder.
    """

    def __init__(self, folder: Path, max_length: int, *, lowercase: bool = False, overlap: int = 0) -> None:
        config = read_json(folder / "tokenizer_config.json", optional=True)
        self._tokenizer: Any = _load(folder, config)
        self._tokenizer.no_padding()
        direction = str(config.get("truncation_side", "right"))
        overlap = min(overlap, (max_length - 3) // 2)  # a window has to get ahead
        self._tokenizer.enable_truncation(max_length, stride=overlap, direction=direction)
        self._lowercase = lowercase
        self.max_length = max_length

    @property
    def size(self) -> int:
        """Entries of the vocabulary, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def special_ids(self) -> Ids:
        """int32[...]: ids of [CLS], [SEP], [PAD], [UNK], [MASK] and their like, sorted."""
        added = self._tokenizer.get_added_tokens_decoder()
        return np.array(sorted(i for i, token in added.items() if token.special), dtype=np.int32)

    def vocabulary(self, n_terms: int) -> list[str]:
        """The token of every term id; ids that the tokenizer does not know are named `[unused-<id>]`."""
        names = [f"[unused-{i}]" for i in range(n_terms)]
        for token, i in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if i < n_terms:
                names[i] = token
        return names

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`, without truncation and padding."""
        from tokenizers import Tokenizer

        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.no_truncation()
        copy.save(str(path), pretty=False)

    def token_id(self, token: str) -> int | None:
        """The id of a token, None if it is not in the vocabulary."""
        number: int | None = self._tokenizer.token_to_id(token)
        return number

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> tuple[list[Ids], int]:
        """Token ids of every text, and how many texts were cut to `max_length`."""
        if self._lowercase:
            texts = [text.lower() for text in texts]
        # encode_batch_fast leaves out offsets and runs on all cores
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=special_tokens)
        cut = sum(1 for e in encodings if len(e) >= self.max_length and e.overflowing)
        return [np.array(e.ids, dtype=np.int32) for e in encodings], cut

    def encode_windows(self, texts: Sequence[str]) -> tuple[list[Ids], list[int]]:
        """Token ids of every window of every text, special tokens in each, and the window's text number."""
        if self._lowercase:
            texts = [text.lower() for text in texts]
        windows, owners = [], []
        for row, encoding in enumerate(self._tokenizer.encode_batch_fast(list(texts))):
            for part in (encoding, *encoding.overflowing):
                windows.append(np.array(part.ids, dtype=np.int32))
                owners.append(row)
        return windows, owners

    def encode_one(self, text: str) -> tuple[list[int], bool]:
        """Ids of one text without special tokens, and whether it was cut: the search path."""
        encoding = self._tokenizer.encode(text.lower() if self._lowercase else text, add_special_tokens=False)
        ids: list[int] = encoding.ids
        return ids, len(ids) >= self.max_length and bool(encoding.overflowing)

    def word_numbers(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """For every text, the word number of each token (special tokens -1), aligned with `encode`."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=True)
        return [np.array([-1 if w is None else w for w in e.word_ids], dtype=np.int32) for e in encodings]

    def word_spans(self, text: str, *, windows: bool = False) -> list[tuple[int, int, int]]:
        """(token id, start, end) of every token of a text that `encode` sees, in order, start and end being
        those of the whole word that the token is a piece of; with `windows` of what `encode_windows` sees.
        """
        encoding = self._tokenizer.encode(text.lower() if self._lowercase else text, add_special_tokens=False)
        pieces = [
            piece
            for part in (encoding, *(encoding.overflowing if windows else ()))
            for piece in zip(part.ids, part.word_ids, part.offsets, strict=True)
        ]
        words: dict[int | None, tuple[int, int]] = {}
        for _, word, (start, end) in pieces:
            first, last = words.get(word, (start, end))
            words[word] = (min(first, start), max(last, end))
        return [(token, *words[word]) for token, word, _ in pieces]


def check_texts(texts: Sequence[str]) -> None:
    """Refuse anything but a sequence of strings, naming the first bad row.

    Raises:
        InvalidInputError: for a single string, or a row that is not text or cannot be encoded as UTF-8.
    """
    if isinstance(texts, str | bytes):
        raise InvalidInputError("texts: expected a sequence of strings, got one string; pass [text]")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts: row {row} is {type(text).__name__} {text!r:.80}, not a string")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                message = f"texts: row {row} holds a lone surrogate at character {error.start}"
                raise InvalidInputError(message) from None


def _load(folder: Path, config: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception for every broken file
            raise CheckpointError(f"{path}: not a tokenizer file: {error}") from error
    if (folder / "vocab.txt").is_file():
        return _wordpiece(folder / "vocab.txt", config)
    return _converted(folder)


def _wordpiece(path: Path, config: dict[str, Any]) -> Any:
    """BERT's tokenizer from its vocabulary alone, as older checkpoints ship it."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    lines = path.read_text(encoding="utf-8").split("\n")
    vocabulary = {token.rstrip("\r"): i for i, token in enumerate(lines) if token.rstrip("\r")}
    unknown = str(config.get("unk_token", "[UNK]"))
    first, last = str(config.get("cls_token", "[CLS]")), str(config.get("sep_token", "[SEP]"))
    for token in (unknown, first, last):
        if token not in vocabulary:
            raise CheckpointError(f"{path}: no {token} among its {len(vocabulary)} tokens")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=bool(config.get("do_lower_case", True)),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    special = ("[PAD]", unknown, first, last, "[MASK]")
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special if t in vocabulary])
    return tokenizer


def _converted(folder: Path) -> Any:
    """A sentencepiece model or an unusual layout: transformers knows how to convert it."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = tokenizer.backend_tokenizer
    except Exception as error:  # missing packages, broken models: many types, one meaning
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{folder}: no tokenizer.json, and no tokenizer to convert: {reason}"
        ) from error
    from tokenizers import Tokenizer

    return Tokenizer.from_str(backend.to_str())


def token_weights(path: Path) -> dict[str, float]:
    """{token: weight} of an `idf.json` or an older `query_token_weights.txt` (token, tab, weight)."""
    if path.suffix == ".json":
        table = read_json(path)
    else:
        table = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            token, _, weight = line.rpartition("\t")
            if not token:
                raise CheckpointError(f"{path}: line {number} is not token, tab, weight")
            try:
                table[token] = json.loads(weight)
            except ValueError:
                raise CheckpointError(f"{path}: line {number}: weight {weight!r} is not a number") from None
    for token, weight in table.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not np.isfinite(weight):
            raise CheckpointError(f"{path}: weight of {token!r} is {weight!r}, not a finite number")
    return {token: float(weight) for token, weight in table.items()}
