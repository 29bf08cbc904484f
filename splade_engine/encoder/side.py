"""`NeuralSide`: texts through a model. Documents always, queries unless they are inference-free."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.batching import length_sorted_batches
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.checking import check_tokenizer, rows_of
from splade_engine.encoder.forks import after_fork
from splade_engine.encoder.loaded_files import LoadedFiles
from splade_engine.encoder.phrases import PhraseTerms
from splade_engine.encoder.refusing import refusing
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.progress import Progress, ProgressBar
from splade_engine.vectors import SparseVectors

if TYPE_CHECKING:
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner

# Texts tokenised at a time: bounds the tokenizer's own objects, some 100 bytes a token, to a few hundred MB
_TOKENISED = 4096

_OVERLAP = 32  # tokens that two windows of a long text share


@dataclass(frozen=True)
class EncodedTexts:
    """The vectors of some texts, and what their reader wants to know of the texts."""

    # one row per text
    vectors: SparseVectors
    # number of texts that were cut to max_length
    truncated: int
    # int64[...]: rows of texts in which the tokenizer knows nothing: all of their tokens are special ([UNK])
    unknown: NDArray[np.int64]


class NeuralSide:
    """One tower of an encoder. Tokenizer and model are loaded when the first text arrives.

    Attributes:
        files: what was loaded.

    Args:
        checkpoint: of this tower.
        prompt: put before every text.
        device, dtype: where the model runs, as `choose_place` takes them.
        min_weight: lighter terms are dropped.
    """

    def __init__(
        self, checkpoint: Checkpoint, prompt: str, device: str, dtype: str, min_weight: float = 0.0
    ) -> None:
        self.checkpoint = checkpoint
        self.n_tokens = checkpoint.n_terms
        self.n_terms = self.n_tokens + checkpoint.settings.extra_terms
        self.prompt = prompt
        self.device = device
        self.dtype = dtype
        self.min_weight = min_weight
        self.files = LoadedFiles(checkpoint)
        self._pid: int | None = None  # of the process that has used the model

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer, loaded on first use.

        Raises:
            CheckpointError: if it is broken, or not this model's.
        """
        settings = self.checkpoint.settings
        made = TextTokenizer(
            self.checkpoint.model_folder,
            settings.max_length,
            lowercase=settings.lowercase,
            overlap=_OVERLAP if settings.long_texts == "windows" else 0,
        )
        check_tokenizer(made, self.checkpoint.model_folder, rows_of(self.checkpoint))
        return made

    @property
    def runner(self) -> Runner:
        """The model, loaded on first use.

        Raises:
            SpladeEngineError: in a process that was forked after the model was used: torch's threads are not
                in it, and it would wait for them for ever.
        """
        runner = self._runner
        if self._pid not in (None, os.getpid()):
            raise after_fork()
        self._pid = os.getpid()
        return runner

    @cached_property
    def _runner(self) -> Runner:
        """This is where torch is imported."""
        folder, tokenizer = self.checkpoint.model_folder, self.tokenizer
        with refusing(folder, "cannot be run"):
            made = self.checkpoint.kind.runner_on(
                self.checkpoint, self.device, self.dtype, self.n_tokens, tokenizer.special_ids
            )
            # one short text: what cannot be run is known now, and what makes no numbers too
            (ids,), _ = made.prepare(tokenizer, [self.prompt + "a"])
            ((_, weights),) = made.run([ids], None) if len(ids) else (((), np.zeros(0)),)
        self.files.check()
        if not np.isfinite(weights).all():
            raise CheckpointError(f"{folder}: gives weights that are not finite for a text of one letter")
        return made

    @cached_property
    def _pairs(self) -> PhraseTerms | None:
        settings = self.checkpoint.settings
        if settings.phrase_terms != "pairs":
            return None
        return PhraseTerms(settings, self.tokenizer, self.n_tokens)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what is loaded on first use is loaded again."""
        loaded = ("_runner", "_pairs", "tokenizer")
        return {**{k: v for k, v in vars(self).items() if k not in loaded}, "_pid": None}

    def encode(
        self, texts: Sequence[str], *, batch_tokens: int, top_k: int | None, progress: Progress
    ) -> EncodedTexts:
        """One row per text, in order."""
        ids, owners, truncated = self._tokenise(texts)
        rows: list[Row | None] = [None] * len(ids)
        full = [i for i, tokens in enumerate(ids) if len(tokens)]
        with ProgressBar(progress, len(ids), label="encode", unit=" texts", done=len(ids) - len(full)) as bar:
            lengths = [len(ids[i]) for i in full]
            workers = self.runner.workers if full else 1
            # four batches for every worker, so that none waits long for the last; never below 256 tokens
            batch_tokens = min(batch_tokens, max(sum(lengths) // (4 * workers), 256))
            batches = [[full[i] for i in b] for b in length_sorted_batches(lengths, batch_tokens)]
            for batch, found in self._run(batches, ids, top_k, workers):
                for i, row in zip(batch, found, strict=True):
                    rows[i] = row
                bar.advance(len(batch))
        if len(ids) > len(texts):
            rows = _pooled(rows, owners, len(texts))
        pairs = self._pairs
        vectors = _stacked(rows, self.n_terms if pairs is None else self.n_tokens, self.min_weight)
        if pairs is not None:
            vectors = pairs.added(vectors, [_token_ids(tokens) for tokens in ids], owners)
        vectors = vectors if top_k is None else vectors.top_k(top_k)
        return EncodedTexts(vectors, truncated, self._unknown(ids, owners, len(texts)))

    def _unknown(self, ids: Sequence[Ids], owners: Sequence[int], count: int) -> NDArray[np.int64]:
        """The rows of texts whose tokens are special ones or the prompt's, in every window."""
        if not count:
            return np.zeros(0, np.int64)
        (prompt,), _ = self.runner.prepare(self.tokenizer, [self.prompt])
        dull = np.union1d(self.tokenizer.special_ids, _token_ids(prompt))
        says_something = np.zeros(count, dtype=bool)
        for tokens, owner in zip(ids, owners, strict=True):
            says_something[owner] |= not np.isin(_token_ids(tokens), dull).all()
        return np.flatnonzero(~says_something)

    def _run(
        self, batches: Sequence[list[int]], ids: Sequence[Ids], top_k: int | None, workers: int
    ) -> Iterator[tuple[list[int], list[Row]]]:
        """Every batch with its rows.

        Many batches run on one thread each: the products of a small model are too short to be shared, and
        threads would mostly wait for one another.
        """
        workers = min(workers, len(batches))
        if workers < 2:
            for batch in batches:
                yield batch, self.runner.run([ids[i] for i in batch], top_k)
            return
        from splade_engine.encoder.runner import single_threaded

        def job(batch: list[int]) -> list[Row]:
            return self.runner.run([ids[i] for i in batch], top_k)

        with single_threaded(workers) as pool:
            pending: deque[tuple[list[int], Future[list[Row]]]] = deque()
            for batch in batches:
                pending.append((batch, pool.submit(job, batch)))
                if len(pending) > 2 * workers:
                    done, future = pending.popleft()
                    yield done, future.result()
            for done, future in pending:
                yield done, future.result()

    def _tokenise(self, texts: Sequence[str]) -> tuple[list[Ids], list[int], int]:
        """Token ids of every text or window, the text that they belong to, and how many texts were cut.

        The ids are empty for a text that has no token of its own.
        """
        ids: list[Ids] = []
        owners: list[int] = []
        truncated = 0
        nothing = np.zeros(0, dtype=np.int32)
        if not texts:
            return ids, owners, 0
        (bare,), _ = self.runner.prepare(self.tokenizer, [self.prompt])
        for start in range(0, len(texts), _TOKENISED):
            chunk = texts[start : start + _TOKENISED]
            prompted = [self.prompt + text for text in chunk] if self.prompt else chunk
            if self.checkpoint.settings.long_texts == "windows":
                tokens, rows = self.tokenizer.encode_windows(prompted)
            else:
                tokens, cut = self.runner.prepare(self.tokenizer, prompted)
                rows = list(range(len(chunk)))
                truncated += cut
            # a blank text, or one of characters that the tokenizer drops, is the prompt and special tokens
            # alone
            ids += [
                t if chunk[row].strip() and len(t) > len(bare) else nothing
                for t, row in zip(tokens, rows, strict=True)
            ]
            owners += [start + row for row in rows]
        return ids, owners, truncated


def _token_ids(tokens: NDArray[Any]) -> NDArray[np.int64]:
    """The ids alone, where a runner keeps more with each token."""
    ids = tokens["token"] if tokens.dtype.names else tokens
    return ids.astype(np.int64)


def _pooled(rows: Sequence[Row | None], owners: Sequence[int], count: int) -> list[Row | None]:
    """The rows of every text's windows as one: the largest weight of each term."""
    parts: list[list[Row]] = [[] for _ in range(count)]
    for row, owner in zip(rows, owners, strict=True):
        if row is not None:
            parts[owner].append(row)
    out: list[Row | None] = []
    for found in parts:
        if len(found) < 2:
            out.append(found[0] if found else None)
            continue
        terms, place = np.unique(np.concatenate([t for t, _ in found]), return_inverse=True)
        weights = np.zeros(len(terms), np.float32)
        np.maximum.at(weights, place, np.concatenate([w for _, w in found]))
        out.append((terms, weights))
    return out


def _stacked(rows: Sequence[Row | None], n_terms: int, min_weight: float) -> SparseVectors:
    """Rows put together; None is an empty row. Checked by SparseVectors: a model can produce NaN."""
    if min_weight:
        rows = [None if row is None else _without_light(row, min_weight) for row in rows]
    counts = [0 if row is None else len(row[0]) for row in rows]
    indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    kept = [row for row in rows if row is not None]
    terms = np.concatenate([row[0] for row in kept]) if kept else np.zeros(0, np.int32)
    weights = np.concatenate([row[1] for row in kept]) if kept else np.zeros(0, np.float32)
    return SparseVectors.adopt(indptr, terms, weights, n_terms)


def _without_light(row: Row, min_weight: float) -> Row:
    terms, weights = row
    keep = ~(weights < min_weight)  # NaN stays, to be refused
    return terms[keep], weights[keep]
