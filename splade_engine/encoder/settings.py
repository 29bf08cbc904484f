"""`EncoderSettings`: everything that decides how an encoder makes vectors, beside its files.

One value for every layout: the `splade_engine` section of our own folders and of the compact ones, what a
sentence-transformers folder says in its own files and in its section, what a trained student is saved with,
and what the fingerprint hashes. A setting that is added here is read, written and hashed without a further
line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from splade_engine.arguments import shown
from splade_engine.errors import CheckpointError

Pooling = Literal["max", "sum"]
Activation = Literal["log1p_relu", "log1p_log1p_relu", "relu", "sparsemax"]
SpecialTokens = Literal["keep", "zero"]
LongTexts = Literal["cut", "windows"]
Phrases = Literal["none", "pairs", "words"]

MOST_BUCKETS = 1 << 20
"""Phrase terms: more are no gain, and every index of the encoder has a place for each."""

PHRASE_SETTINGS = ("phrase_terms", "phrase_buckets", "phrase_factor")

DEFAULT_MAX_LENGTH = 512
"""Tokens per text where neither tokenizer nor model name a limit."""


@dataclass(frozen=True)
class EncoderSettings:
    """How vectors are made. Raises `CheckpointError` for a value that is none of those named here."""

    # tokens per text, special tokens included
    max_length: int = DEFAULT_MAX_LENGTH
    # tokens per query where they are cut elsewhere than documents; None: at max_length
    query_max_length: int | None = None
    # over the token positions of a text [SPLADE 2107.05720: sum, SPLADE v2 2109.10086: max]
    pooling: Pooling = "max"
    # log1p_relu is log(1 + relu(x)); log1p_log1p_relu is log(1 + log(1 + relu(x))) [2504.14839]; sparsemax
    # is log1p_relu projected so that a text's weights sum to at most sparsemax_mass [1602.02068]
    activation: Activation = "log1p_relu"
    # of the activation sparsemax
    sparsemax_mass: float = 30.0
    # zero removes [CLS], [SEP] and their like from the vectors
    special_tokens: SpecialTokens = "keep"
    # terms kept per vector, of queries where query_top_k says nothing else; None keeps all
    top_k: int | None = None
    # lighter terms are dropped from documents (and from queries that are encoded like documents)
    min_weight: float = 0.0
    # cut at max_length, or encoded in windows of max_length tokens, of which each term's largest weight
    # counts
    long_texts: LongTexts = "cut"
    # put before every document, before every query
    document_prompt: str = ""
    query_prompt: str = ""
    # lowercase texts before the tokenizer sees them
    lowercase: bool = False
    # from a query table: a token that occurs n times in a query weighs n times as much; else presence counts
    query_counts: bool = False
    # terms kept of a query, the heaviest; None keeps as many as of a document
    query_top_k: int | None = None
    # terms of several tokens behind the vocabulary (`phrases.py`): pairs of neighbouring tokens beside the
    # single ones [1911.02896], or words of several pieces in place of these [2104.12016]
    phrase_terms: Phrases = "none"
    # how many such terms there are; a hash says which one a phrase is
    phrase_buckets: int = 1 << 16
    # a pair weighs this much of the lighter one of its tokens, in documents and in queries; docs/papers.md
    # (`phrases`) says where it comes from
    phrase_factor: float = 0.75

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            if problem := check(getattr(self, name)):
                raise CheckpointError(f"{name} {problem}")
        if self.long_texts == "windows" and self.pooling != "max":
            raise CheckpointError("long_texts = windows needs a masked LM pooled by max")
        if self.activation == "sparsemax" and self.pooling != "max":
            raise CheckpointError("activation sparsemax is of a whole text, so it needs pooling max")

    @property
    def length_of_queries(self) -> int:
        """Tokens per query."""
        return self.max_length if self.query_max_length is None else self.query_max_length

    @property
    def kept_of_queries(self) -> int | None:
        """Terms kept per query; None keeps all."""
        return self.top_k if self.query_top_k is None else self.query_top_k

    @property
    def extra_terms(self) -> int:
        """Terms behind the vocabulary."""
        return 0 if self.phrase_terms == "none" else self.phrase_buckets

    def to_section(self, names: Collection[str] | None = None) -> dict[str, Any]:
        """The settings that are not the default, for a JSON file; of `names`, or of all."""
        wanted = SETTING_NAMES if names is None else names
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name in wanted}
        return {k: v for k, v in values.items() if v != _DEFAULTS[k]}

    @classmethod
    def from_section(cls, section: Mapping[str, Any], **defaults: Any) -> EncoderSettings:
        """The settings of a section, whose other entries are left alone.

        Args:
            section: may name any of the settings; null stands for the default.
            defaults: of settings that the section does not name.
        """
        named = {k: v for k, v in section.items() if k in SETTING_NAMES and v is not None}
        return cls(**{**defaults, **named})


Check = Callable[[Any], str]  # what is wrong with a value, in words that follow its name; empty: nothing


def _one_of(choice: Any) -> Check:
    allowed = get_args(choice)
    return lambda value: "" if value in allowed else f"{shown(value)} is not one of {', '.join(allowed)}"


def _of_type(kind: type, what: str) -> Check:
    return lambda value: "" if isinstance(value, kind) else f"is {shown(value)}, not {what}"


def _count(value: Any) -> str:
    fits = value is None or (is_integer(value) and value >= 1)
    return "" if fits else f"must be at least 1, got {shown(value)}"


def _length(value: Any) -> str:
    if not is_integer(value):
        return f"is {shown(value)}, not a whole number"
    return "" if value >= 3 else f"{value} leaves no room for a token"


def _buckets(value: Any) -> str:
    fits = is_integer(value) and 1 <= value <= MOST_BUCKETS
    return "" if fits else f"must be a whole number from 1 to {MOST_BUCKETS:,}, got {shown(value)}"


def _factor(value: Any) -> str:
    return "" if is_number(value) and 0 < value <= 10 else f"must be above 0, at most 10, got {shown(value)}"


def _mass(value: Any) -> str:
    return "" if is_number(value) and 0 < value < 1e6 else f"must be above 0, got {shown(value)}"


def _weight(value: Any) -> str:
    return "" if is_number(value) and 0 <= value < 100 else f"must be at least 0, got {shown(value)}"


_CHECKS: dict[str, Check] = {
    "max_length": _length,
    "query_max_length": lambda value: "" if value is None else _length(value),
    "pooling": _one_of(Pooling),
    "activation": _one_of(Activation),
    "sparsemax_mass": _mass,
    "special_tokens": _one_of(SpecialTokens),
    "top_k": _count,
    "min_weight": _weight,
    "long_texts": _one_of(LongTexts),
    "document_prompt": _of_type(str, "text"),
    "query_prompt": _of_type(str, "text"),
    "lowercase": _of_type(bool, "true or false"),
    "query_counts": _of_type(bool, "true or false"),
    "query_top_k": _count,
    "phrase_terms": _one_of(Phrases),
    "phrase_buckets": _buckets,
    "phrase_factor": _factor,
}
SETTING_NAMES = tuple(f.name for f in fields(EncoderSettings))
_DEFAULTS = {f.name: f.default for f in fields(EncoderSettings) if f.default is not MISSING}


DenseMode = Literal["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"]


@dataclass(frozen=True)
class DensePooling:
    """How a dense encoder makes one vector of the states of a text's tokens."""

    mode: DenseMode = "mean"
    # vectors of unit length
    normalize: bool = False


def is_integer(value: object) -> TypeGuard[int]:
    """Whether it is a whole number and not True or False."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number and not True or False."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


@contextmanager
def blaming(path: Path | str) -> Iterator[None]:
    """Put the file or folder before the message of a `CheckpointError` that does not name one yet."""
    try:
        yield
    except CheckpointError as error:
        text = str(error)
        if text.startswith(str(path)):
            raise
        raise CheckpointError(f"{path}: {text}") from error.__cause__
