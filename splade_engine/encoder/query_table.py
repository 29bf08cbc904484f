"""`TableEncoder`: inference-free queries. A token's weight from a table, nothing learned at run time.

    w_t = [t in query] * max(0, table[t])        (arXiv 2411.04403, section 3)
    w_t = n(t in query) * max(0, table[t])       with `counts`, as BM25 has it (its k3 without bound)

It is on the path of every search, so it costs tens of microseconds and imports neither torch nor
transformers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.checking import check_tokenizer
from splade_engine.encoder.folders.files import existing, read_json
from splade_engine.encoder.folders.safetensors_file import read_floats
from splade_engine.encoder.phrases import PhraseTerms, WordTerms, phrases_of
from splade_engine.encoder.settings import is_number
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.vectors import SparseVectors

_LARGEST = float(np.finfo(np.float32).max)


class TableEncoder:
    """Queries by table look-up.

    Attributes:
        table: float32[V], zero where a term never counts; phrase terms are not in it.
        counts: a token that stands in the query n times weighs n times as much.
        prompt: put before every query, unless that is blank.
        phrases: terms of several tokens behind the vocabulary; None for none.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        table: NDArray[np.float32],
        counts: bool = False,
        prompt: str = "",
        phrases: PhraseTerms | WordTerms | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.table = table
        self.counts = counts
        self.prompt = prompt
        self.phrases = phrases
        self.table.flags.writeable = False

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.table.flags.writeable = False  # which a copy forgets

    @property
    def extra_terms(self) -> int:
        """Phrase terms behind the vocabulary."""
        return 0 if self.phrases is None else self.phrases.buckets

    def encode(self, texts: Sequence[str], top_k: int | None = None) -> tuple[SparseVectors, int]:
        """One row per text, and how many texts were cut to the tokenizer's `max_length`."""
        n_terms = len(self.table)
        if self.prompt:
            texts = [self.prompt + text if text.strip() else "" for text in texts]
        if self.phrases is not None and texts:
            found = [self._with_phrases(self.phrases, text) for text in texts]
            vectors = found[0][0] if len(found) == 1 else SparseVectors.concat([row for row, _ in found])
            truncated = sum(cut for _, cut in found)
        elif len(texts) == 1:
            ids, cut = self.tokenizer.encode_one(texts[0])
            vectors, truncated = self._row(ids), int(cut)
        else:
            lists, truncated = self.tokenizer.encode(texts, special_tokens=False)
            rows = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
            flat = np.concatenate(lists) if lists else np.zeros(0, np.int32)
            # one sort over (row, term) keys: unique terms of every row, in order
            keys, repeats = np.unique(rows * np.int64(n_terms) + flat, return_counts=True)
            terms = (keys % n_terms).astype(np.int32)
            weights = self.table[terms]
            if self.counts:
                weights = weights * repeats.astype(np.float32)
            keep = weights > 0
            counts = np.bincount((keys // n_terms)[keep], minlength=len(lists))
            indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
            vectors = SparseVectors.adopt(indptr, terms[keep], weights[keep], n_terms + self.extra_terms)
        return (vectors if top_k is None else vectors.top_k(top_k)), truncated

    def _with_phrases(self, phrases: PhraseTerms | WordTerms, text: str) -> tuple[SparseVectors, bool]:
        """One query with its phrase terms behind the single ones, and whether it was cut."""
        n_terms = len(self.table) + phrases.buckets
        if isinstance(phrases, PhraseTerms):
            ids, cut = self.tokenizer.encode_one(text)
            row = self._row(ids)
            pairs = phrases.of_query(ids, self.table)
            indptr = np.array((0, row.nnz + len(pairs)), np.int64)
            terms = np.concatenate([row.terms, np.array(list(pairs), np.int32)])
            weights = np.concatenate([row.weights, np.array(list(pairs.values()), np.float32)])
            return SparseVectors.from_valid(indptr, terms, weights, n_terms), cut
        tokens, numbers, cut = self.tokenizer.encode_words(text)
        ids_of, words = np.array(tokens, np.int64), np.array(numbers, np.int64)
        of_words, starts, pieces = phrases.of_tokens(ids_of, words)
        # a word weighs what its pieces weigh in the mean: they share its impact in a document evenly
        sums = np.concatenate(([0.0], np.cumsum(self.table[ids_of], dtype=np.float64)))
        means = ((sums[starts + pieces] - sums[starts]) / pieces).astype(np.float32)
        distinct, at, repeats = np.unique(of_words, return_index=True, return_counts=True)
        weights = means[at]
        if self.counts:
            weights = weights * repeats.astype(np.float32)
        kept = weights > 0
        indptr = np.array((0, int(kept.sum())), np.int64)
        return SparseVectors.from_valid(indptr, distinct[kept].astype(np.int32), weights[kept], n_terms), cut

    def _row(self, ids: list[int]) -> SparseVectors:
        """One query: sorted unique ids with positive weights; checking them again would take 29 us of 38."""
        terms = np.array(sorted(set(ids)), dtype=np.int32)
        weights = self.table[terms]
        if self.counts and len(terms) < len(ids):
            repeats = Counter(ids)
            weights = weights * np.array([repeats[t] for t in terms.tolist()], dtype=np.float32)
        if not weights.all():
            keep = weights > 0
            terms, weights = terms[keep], weights[keep]
        indptr = np.array((0, len(terms)), dtype=np.int64)
        return SparseVectors.from_valid(indptr, terms, weights, len(self.table))


def load_table(checkpoint: Checkpoint, query: QueryTable, n_terms: int) -> TableEncoder:
    """The query side of an inference-free checkpoint.

    Tables shorter than the vocabulary are padded with zeros (the table of
    sentence-transformers ends at its largest id), longer ones must be zero beyond it. Negative weights
    count as zero.

    Raises:
        CheckpointError: if the table does not fit the vocabulary.
    """
    settings = checkpoint.settings
    tokenizer = TextTokenizer(query.folder, settings.length_of_queries, lowercase=settings.lowercase)
    check_tokenizer(tokenizer, query.folder, n_terms)
    if query.weights is None:
        table = np.ones(n_terms, np.float32)
    else:
        table = read_table(query.weights, tokenizer, n_terms, query.missing)
    bad = ~np.isfinite(table)
    if bad.any():
        term = int(np.argmax(bad))
        raise CheckpointError(f"{query.weights}: weight of term {term} is {table[term]}")
    table = np.maximum(table, 0)
    if not table.any():
        raise CheckpointError(f"{query.weights}: no token has a weight above 0: every query would be empty")
    if settings.special_tokens == "zero":
        table[tokenizer.special_ids] = 0
    phrases = phrases_of(settings, tokenizer, n_terms)
    return TableEncoder(tokenizer, table, settings.query_counts, settings.query_prompt, phrases)


def read_table(path: Path, tokenizer: TextTokenizer, n_terms: int, missing: float) -> NDArray[np.float32]:
    """The weights of a file, float32[n_terms].

    Args:
        path: `*.safetensors` with one weight per term; or {token: weight} in JSON; or lines of token, tab,
        weight.
        tokenizer: says which term a token is.
        n_terms: size of the vocabulary. A shorter table is padded with zeros, a longer one must be zero
        beyond.
        missing: weight of the tokens that JSON or lines do not name.

    Raises:
        CheckpointError: if it cannot be read or does not fit the vocabulary.
    """
    existing(path)
    if path.suffix == ".safetensors":
        table = np.zeros(n_terms, np.float32)
        stored = _stored(path)
        if len(stored) > n_terms and stored[n_terms:].any():
            raise CheckpointError(f"{path}: {len(stored)} weights for a vocabulary of {n_terms}")
        table[: min(len(stored), n_terms)] = stored[:n_terms]
        return table
    table = np.full(n_terms, missing, np.float32)
    for token, weight in token_weights(path).items():
        term = tokenizer.token_id(token)
        if term is not None and term < n_terms:  # a token of another vocabulary can occur in no query
            table[term] = weight
    return table


def _stored(path: Path) -> NDArray[np.float32]:
    tensors = read_floats(path)
    if not tensors:
        raise CheckpointError(f"{path}: not readable as a table of weights: it holds no tensor")
    name = "weight" if "weight" in tensors else next(iter(tensors))
    if name != "weight" and len(tensors) > 1:
        raise CheckpointError(f"{path}: {len(tensors)} tensors, none of them called weight")
    if tensors[name].ndim != 1:
        raise CheckpointError(
            f"{path}: {name:.80} has shape {tensors[name].shape}, expected one weight per token"
        )
    return tensors[name]


def token_weights(path: Path) -> dict[str, float]:
    """{token: weight} of an `idf.json` or an older `query_token_weights.txt` (token, tab, weight)."""
    if path.suffix == ".json":
        table = read_json(path)
    else:
        table = {}
        places: dict[str, int] = {}
        for number, line in enumerate(_text(path).split("\n"), start=1):
            if not line:
                continue
            token, _, weight = line.rpartition("\t")
            if not token:
                raise CheckpointError(f"{path}: line {number} is not token, tab, weight")
            try:
                value = json.loads(weight)
            except (ValueError, RecursionError):
                problem = f"line {number}: weight {weight!r:.80} is not a number"
                raise CheckpointError(f"{path}: {problem}") from None
            if table.setdefault(token, value) != value:
                problem = f"line {number}: {token!r:.80} has another weight than in line {places[token]}"
                raise CheckpointError(f"{path}: {problem}")
            places.setdefault(token, number)
    for token, weight in table.items():
        if not is_number(weight) or abs(weight) > _LARGEST:
            problem = f"weight of {token!r:.80} is {weight!r:.80}"
            raise CheckpointError(f"{path}: {problem}, not a finite number of single precision")
    return {token: float(weight) for token, weight in table.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not text: {error.reason} at byte {error.start}") from error
