"""`TextTokenizer`: texts to token ids, with the truncated ones counted. Needs `tokenizers` only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import check_many
from splade_engine.encoder.folders.tokenizer import load_tokenizer, truncation_side
from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError, InvalidInputError

logger = logging.getLogger(__name__)

Ids = NDArray[np.int32]

# characters of a long text that are tokenized for each token that is kept. A token of English has 4 to 5
CHARACTERS = 64
# where these give too few tokens (a word of a million letters is one), so many times as many are, and no
# more: ten million spaces would take half a minute
MORE = 8
_FEWEST = 1 << 16  # characters that are looked at however few tokens are kept
_AT_ONCE = 1 << 18  # characters whose places are asked for together
_PROBES = ("", "a b", "Zz9 \u6771\u4eac \U0001f600 \u0130\u0301\n")


class TextTokenizer:
    """The tokenizer of a model folder, without padding.

    Args:
        folder: holds `tokenizer.json`, or a `vocab.txt` of WordPiece tokens, or what transformers can
            convert. Its tokenizer_config.json says at which end long texts are cut (`truncation_side`).
        max_length: tokens per text, special tokens included; longer texts are cut.
        lowercase: lowercase texts first (sentence-transformers' `do_lower_case`).
        overlap: tokens that two windows of `encode_windows` share, so that every token is seen with what
            stands around it.

    Raises:
        CheckpointError: if there is no tokenizer in the folder.
    """

    def __init__(self, folder: Path, max_length: int, *, lowercase: bool = False, overlap: int = 0) -> None:
        self._tokenizer: Any = load_tokenizer(folder)
        self._tokenizer.no_padding()
        self._folder = folder
        self._rows: int | None = None  # ids beyond are refused; None: there are none beyond
        overlap = min(overlap, (max_length - 3) // 2)  # every window has to begin after the one before
        side = truncation_side(folder)
        with refusing(folder, "the tokenizer"):
            self._tokenizer.enable_truncation(max_length, stride=overlap, direction=side)
            for (
                text
            ) in _PROBES:  # an unknown character, a script, nothing: what it cannot do, it cannot do now
                self._tokenizer.encode(text)
        self.lowercase = lowercase
        self._uncut: Any = None  # the same tokenizer without a limit, made when it is needed
        self.max_length = max_length
        self.truncation_side = side
        self._most = None if overlap else max(MORE * CHARACTERS * max_length, _FEWEST)
        # from the end, nothing can be left out; neither where windows show all of a text
        self._stretch = CHARACTERS * max_length if side == "right" and not overlap else None

    @property
    def size(self) -> int:
        """Entries of the vocabulary, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def largest_id(self) -> int:
        """The largest token id."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)

    @property
    def special_ids(self) -> Ids:
        """int32[...]: ids of [CLS], [SEP], [PAD], [UNK], [MASK] and their like, sorted."""
        added = self._tokenizer.get_added_tokens_decoder()
        return np.array(sorted(i for i, token in added.items() if token.special), dtype=np.int32)

    @property
    def terms(self) -> dict[str, int]:
        """The id of every token that is not special."""
        special = set(self.special_ids.tolist())
        found: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return {token: number for token, number in found.items() if number not in special}

    @property
    def last_segment(self) -> int:
        """The largest segment (`token_type_ids`) that a token of a text is put into: usually 0."""
        return max(self._tokenizer.encode("a").type_ids, default=0)

    def limit_ids(self, rows: int) -> None:
        """Refuse from now on texts that hold a token whose id is `rows` or more."""
        self._rows = rows

    def _known(self, ids: list[int]) -> list[int]:
        """`ids`, if the model has a row for each.

        Raises:
            CheckpointError: naming the token that it has none for.
        """
        if self._rows is not None and ids and (largest := max(ids)) >= self._rows:
            token = str(self._tokenizer.id_to_token(largest))
            raise CheckpointError(
                f"{self._folder}: a text holds the token {token!r:.80} with id {largest}, the model has "
                f"{self._rows} rows: the tokenizer is not this model's"
            )
        return ids

    def vocabulary(self, n_terms: int) -> list[str]:
        """The token of every term id; ids that the tokenizer does not know are named `[unused-<id>]`."""
        names = [f"[unused-{i}]" for i in range(n_terms)]
        for token, i in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if i < n_terms:
                names[i] = token
        return names

    def save(self, path: Path, *, pretty: bool = False) -> None:
        """Write `tokenizer.json`, without truncation and padding."""
        from tokenizers import Tokenizer

        copy = Tokenizer.from_str(self._tokenizer.to_str())
        copy.no_truncation()
        copy.save(str(path), pretty=pretty)

    def token_id(self, token: str) -> int | None:
        """The id of a token, None if it is not in the vocabulary."""
        number: int | None = self._tokenizer.token_to_id(token)
        return number

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> tuple[list[Ids], int]:
        """Token ids of every text, and how many texts were cut to `max_length`."""
        if self.lowercase:
            texts = [text.lower() for text in texts]
        # encode_batch_fast leaves out offsets and runs on all cores
        encodings = self._encodings(self._tokenizer.encode_batch_fast, texts, special_tokens)
        cut = sum(
            1
            for e, text in zip(encodings, texts, strict=True)
            if (len(e) >= self.max_length and e.overflowing) or self._is_too_long(text)
        )
        return [np.array(self._known(e.ids), dtype=np.int32) for e in encodings], cut

    def encode_windows(self, texts: Sequence[str]) -> tuple[list[Ids], list[int]]:
        """Token ids of every window of every text, special tokens in each, and the window's text number."""
        if self.lowercase:
            texts = [text.lower() for text in texts]
        windows, owners = [], []
        with refusing(self._folder, "the tokenizer"):
            encodings = self._tokenizer.encode_batch_fast(list(texts))
        for row, encoding in enumerate(encodings):
            for part in (encoding, *encoding.overflowing):
                windows.append(np.array(self._known(part.ids), dtype=np.int32))
                owners.append(row)
        return windows, owners

    def encode_one(self, text: str) -> tuple[list[int], bool]:
        """Ids of one text without special tokens, and whether it was cut: the search path."""
        encoding = self._encoding(text)
        ids = self._known(encoding.ids)
        cut = len(ids) >= self.max_length and bool(encoding.overflowing)
        return ids, cut or self._is_too_long(text)

    def encode_words(self, text: str) -> tuple[list[int], list[int], bool]:
        """As `encode_one`, with the number of each token's word; the search path of terms that are words."""
        encoding = self._encoding(text)
        ids = self._known(encoding.ids)
        cut = len(ids) >= self.max_length and bool(encoding.overflowing)
        words = [-1 if word is None else word for word in encoding.word_ids]
        return ids, words, cut or self._is_too_long(text)

    def word_numbers(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """For every text, the word number of each token (special tokens -1), aligned with `encode`."""
        encodings = self._encodings(self._tokenizer.encode_batch, texts, True)
        return [np.array([-1 if w is None else w for w in e.word_ids], dtype=np.int32) for e in encodings]

    def word_spans(self, text: str, *, windows: bool = False) -> list[tuple[int, int, int]]:
        """(token id, start, end) of every token of a text that `encode` sees, in order.

        Start and end are those of the whole word that the token is a piece of. With `windows` the tokens are
        those that `encode_windows` sees.
        """
        encoding = self._encoding(text, whole=windows)
        pieces = [
            piece
            for part in (encoding, *(encoding.overflowing if windows else ()))
            for piece in zip(self._known(part.ids), part.word_ids, part.offsets, strict=True)
        ]
        place = _places(text) if self.lowercase else None
        words: dict[int | None, tuple[int, int]] = {}
        for _, word, (start, end) in pieces:
            if place is not None and start < end:
                start, end = place[start], place[end - 1] + 1
            first, last = words.get(word, (start, end))
            words[word] = (min(first, start), max(last, end))
        return [(token, *words[word]) for token, word, _ in pieces]

    def starts(self, text: str) -> NDArray[np.int64]:
        """int64[tokens]: the character at which each token of a text begins; nothing is cut."""
        if self._uncut is None:
            from tokenizers import Tokenizer

            self._uncut = Tokenizer.from_str(self._tokenizer.to_str())
            self._uncut.no_truncation()
        lowered = text.lower() if self.lowercase else text
        if len(lowered) != len(text):  # a few letters change their length, and with it all places after them
            lowered = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
        found: list[NDArray[np.int64]] = []
        at = 0
        with refusing(self._folder, "the tokenizer"):
            # the tokenizer's own objects take some 400 bytes a token: a long text is not given to it at once
            while at < len(lowered) or not found:
                part = beginning(lowered[at : at + _AT_ONCE + 1], _AT_ONCE)
                offsets = self._uncut.encode(part, add_special_tokens=False).offsets
                found.append(at + np.array([start for start, _ in offsets], dtype=np.int64))
                at += len(part)
        return np.concatenate(found)

    def room(self, prompt: str = "") -> int:
        """How many tokens of a text are read, beside the special ones and the prompt's."""
        special = int(self._tokenizer.num_special_tokens_to_add(False))
        return self.max_length - special - (len(self.starts(prompt)) if prompt else 0)

    def _is_too_long(self, text: str) -> bool:
        """Whether not even the tokenizer sees all of it."""
        return self._most is not None and len(text) > self._most

    def _shown(self, text: str) -> str:
        """What the tokenizer sees of a text: the end that counts."""
        if self._most is None or len(text) <= self._most:
            return text
        return text[-self._most :] if self.truncation_side == "left" else beginning(text, self._most)

    def _encoding(self, text: str, *, whole: bool = False) -> Any:
        """One text without special tokens; `whole`: what overflows as well."""
        if self.lowercase:
            text = text.lower()
        if self._stretch is not None and len(text) > self._stretch and not whole:
            encoding = self._tokenizer.encode(beginning(text, self._stretch), add_special_tokens=False)
            if encoding.overflowing:
                return encoding
        shown = text if whole else self._shown(text)
        return self._tokenizer.encode(shown, add_special_tokens=False)

    def _encodings(self, encode: Any, texts: Sequence[str], special_tokens: bool) -> list[Any]:
        """`encode` of the beginnings of the texts; of a whole one where its beginning is not enough."""
        stretch = self._stretch
        with refusing(self._folder, "the tokenizer"):
            if stretch is None or all(len(text) <= stretch for text in texts):
                shown = [self._shown(text) for text in texts]
                return list(encode(shown, add_special_tokens=special_tokens))
            encodings = list(
                encode([beginning(text, stretch) for text in texts], add_special_tokens=special_tokens)
            )
            short = [i for i, e in enumerate(encodings) if len(texts[i]) > stretch and not e.overflowing]
            again = encode([self._shown(texts[i]) for i in short], add_special_tokens=special_tokens)
        for i, encoding in zip(short, again, strict=True):
            encodings[i] = encoding
        return encodings


def _places(text: str) -> list[int] | None:
    """For each character of a text in lower case, which one it was; None where they are as many."""
    if len(text.lower()) == len(text):
        return None
    return [at for at, letter in enumerate(text) for _ in letter.lower()]


def beginning(text: str, length: int) -> str:
    """The first `length` characters of a text, or some fewer: no word is cut where words have an end."""
    if len(text) <= length:
        return text
    space = max(text.rfind(" ", length // 2, length), text.rfind("\n", length // 2, length))
    return text[: space if space >= 0 else length]


def check_texts(texts: Sequence[str]) -> None:
    """Refuse anything but a sequence of strings, naming the first bad row.

    Raises:
        InvalidInputError: for a single string, or a row that is not text or cannot be encoded as UTF-8.
    """
    check_many("texts", texts)
    if not hasattr(texts, "__len__") or not hasattr(texts, "__getitem__"):
        raise InvalidInputError(f"texts: {type(texts).__name__}, expected a sequence of strings; pass a list")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInputError(f"texts: row {row} is {type(text).__name__} {text!r:.80}, not a string")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                message = f"texts: row {row} holds a lone surrogate at character {error.start}"
                raise InvalidInputError(message) from None
