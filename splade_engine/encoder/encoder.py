"""`SparseEncoder`: text in, `SparseVectors` out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import Checkpoint, LongTexts, QueryTable, read_checkpoint
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.query_table import TableEncoder, load_table
from splade_engine.encoder.side import EncodedTexts, NeuralSide
from splade_engine.encoder.tokens import check_texts
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.progress import Progress
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)

# Tokens per batch, padding included. Large enough to keep the processor's matrix units busy, small enough
# that a batch's states (4096 x 1536 x 2 bytes in the feed-forward layer of a MiniLM) stay in the last-level
# cache.
BATCH_TOKENS = 4096

_DTYPES = ("auto", "float32", "bfloat16", "float16")


class SparseEncoder:
    """A learned sparse encoder: documents and queries to weighted vocabulary terms.

    Results come in input order. How texts are grouped into batches matters at most by rounding. BERT-like
    models on the processor see every text alone in attention and give the same bits for any `batch_tokens`
    (as measured, not promised). Padded models and GPUs agree within 1e-5 in float32; in bfloat16 weights
    move by up to 0.07, which is also that precision's distance to float32 (cosine of the vectors: 0.9999). A
    term whose weight is that close to zero, or to the checkpoint's `min_weight`, may come or go.

    Attributes:
        n_terms: size of the vocabulary.
        max_length: tokens per text; longer texts are cut, with one warning in the log per call that counts
            them, or encoded in windows where the checkpoint says so.
        inference_free: queries cost a table look-up and need neither torch nor transformers.
        name: hub id or folder name.
        truncated: how many texts were cut since the encoder was loaded.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise InvalidInputError(f"dtype {dtype!r}: expected one of {', '.join(_DTYPES)}")
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.max_length = _checked_length(checkpoint, max_length)
        self.n_terms = _n_terms(checkpoint)
        self.truncated = 0
        self._documents = NeuralSide(
            checkpoint,
            self.n_terms,
            self.max_length,
            checkpoint.document_prompt,
            device,
            dtype,
            checkpoint.min_weight,
        )
        self._queries: NeuralSide | TableEncoder = self._documents
        query = checkpoint.query
        if isinstance(query, QueryTable):
            self._queries = load_table(checkpoint, query, self.n_terms, self.max_length)
        elif query is not None or checkpoint.query_prompt != checkpoint.document_prompt:
            query = query or checkpoint
            if (found := _n_terms(query)) != self.n_terms:
                raise CheckpointError(
                    f"{query.folder}: queries over {found} terms, documents over {self.n_terms}"
                )
            length = query.max_length if max_length is None else _checked_length(query, max_length)
            self._queries = NeuralSide(query, self.n_terms, length, checkpoint.query_prompt, device, dtype)
        self._vocabulary: list[str] | None = None
        self._hash: str | None = None

    @classmethod
    def load(
        cls,
        source: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        long_texts: LongTexts | None = None,
        revision: str | None = None,
    ) -> SparseEncoder:
        """Load a checkpoint. The weights are read when the first text needs them.

        Args:
            source: None for the bundled model, a folder, or a hub id. A folder, or any source while
                HF_HUB_OFFLINE=1, never touches the network.
            device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:<n>`, `mps`.
            dtype: `auto` (bfloat16 where the device multiplies it natively), `float32`, `bfloat16`,
                `float16`.
            max_length: tokens per text instead of the checkpoint's own limit.
            long_texts: what happens to longer documents, instead of what the checkpoint says: `cut`, or
                `windows` (encoded in overlapping windows of max_length tokens, of which each term's largest
                weight counts; several times the work for a text several times as long).
            revision: branch, tag or commit of a hub id.

        Raises:
            CheckpointError: if there is no such checkpoint, or it is of no known kind, or not in safetensors.
            InvalidInputError: for a bad argument.
        """
        folder, name = hub.resolve(source, revision)
        checkpoint = read_checkpoint(folder, name)
        if long_texts is not None:
            checkpoint = replace(checkpoint, long_texts=long_texts)
        if checkpoint.query is None and (half := hub.query_half(name, revision)) is not None:
            checkpoint = replace(checkpoint, query=read_checkpoint(half))
        return cls(checkpoint, device=device, dtype=dtype, max_length=max_length)

    @property
    def inference_free(self) -> bool:
        """Whether queries need no model."""
        return self.query_table is not None

    @property
    def vocabulary(self) -> list[str]:
        """The token of every term id: `vocabulary[term]`, n_terms entries."""
        if self._vocabulary is None:
            if self.checkpoint.kind == "csr":  # latent dimensions have no words
                self._vocabulary = [f"[latent-{i}]" for i in range(self.n_terms)]
            else:
                self._vocabulary = self._queries.tokenizer.vocabulary(self.n_terms)
        return self._vocabulary

    @property
    def source(self) -> str | None:
        """What `load` takes to load it again: None for the bundled model, else a hub id or a folder."""
        folder = self.checkpoint.folder.resolve()
        if folder == hub.BUNDLED.resolve():
            return None
        return self.name if "/" in self.name else str(folder)

    @property
    def query_table(self) -> NDArray[np.float32] | None:
        """float32[V], the weight of a token that stands in a query once; None unless inference-free."""
        return self._queries.table if isinstance(self._queries, TableEncoder) else None

    def word_spans(self, text: str) -> list[tuple[int, int, int]]:
        """(term, start, end) of every token of a text; start and end bound the word it is a piece of."""
        return self._queries.tokenizer.word_spans(text, windows=self.checkpoint.long_texts == "windows")

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        top_k: int | None = None,
        progress: Progress = False,
    ) -> SparseVectors:
        """Document vectors, one row per text, in order; a blank text is an empty row.

        Args:
            texts: strings of any length; what happens beyond `max_length` tokens is the checkpoint's
                `long_texts`.
            batch_tokens: tokens per batch, padding included.
            top_k: keep the heaviest terms of each row (among equals the smaller id); None keeps the
                checkpoint's.
            progress: see `Progress`.

        Raises:
            InvalidInputError: for a row that is not a string (the message names it) or a bad argument.
        """
        encoded = self.encode_counted(texts, batch_tokens=batch_tokens, top_k=top_k, progress=progress)
        self._warn(self._documents, encoded.truncated, len(texts))
        return encoded.vectors

    def encode_counted(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        top_k: int | None = None,
        progress: Progress = False,
    ) -> EncodedTexts:
        """Document vectors as `encode_documents` gives them, and what it would have logged as numbers."""
        return self._encode(self._documents, texts, batch_tokens, top_k, progress)

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        top_k: int | None = None,
        progress: Progress = False,
    ) -> SparseVectors:
        """Query vectors; arguments and errors as in `encode_documents`."""
        side = self._queries
        if isinstance(side, TableEncoder):
            check_texts(texts)
            vectors, truncated = side.encode(texts, self._checked_top_k(top_k, side))
            self.truncated += truncated
        else:
            encoded = self._encode(side, texts, batch_tokens, top_k, progress)
            vectors, truncated = encoded.vectors, encoded.truncated
        self._warn(side, truncated, len(texts))
        return vectors

    def _encode(
        self,
        side: NeuralSide,
        texts: Sequence[str],
        batch_tokens: int,
        top_k: int | None,
        progress: Progress,
    ) -> EncodedTexts:
        check_texts(texts)
        top_k = self._checked_top_k(top_k, side)
        if batch_tokens < 1:
            raise InvalidInputError(f"batch_tokens must be at least 1, got {batch_tokens}")
        encoded = side.encode(texts, batch_tokens=batch_tokens, top_k=top_k, progress=progress)
        self.truncated += encoded.truncated
        return encoded

    def _warn(self, side: NeuralSide | TableEncoder, truncated: int, n_texts: int) -> None:
        if truncated:
            limit = side.tokenizer.max_length
            logger.warning("%d of %d texts were cut to %d tokens (max_length)", truncated, n_texts, limit)

    def _checked_top_k(self, top_k: int | None, side: NeuralSide | TableEncoder) -> int | None:
        if top_k is None:
            few = side.top_k if isinstance(side, TableEncoder) else None
            return self.checkpoint.top_k if few is None else few
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise InvalidInputError(f"top_k must be an integer of at least 1, got {top_k!r}")
        return top_k

    def fingerprint(self) -> dict[str, str | int]:
        """What an index remembers of its encoder. `hash` covers weights, tokenizers and settings, and is the
        same on every machine that holds the same files; where and in which precision it runs is not part of
        it.
        """
        if self._hash is None:
            self._hash = _hash(self.checkpoint)
        c = self.checkpoint
        return {
            "name": self.name,
            "hash": self._hash,
            "kind": c.kind,
            "n_terms": self.n_terms,
            "max_length": self.max_length,
            "pooling": c.pooling,
            "activation": c.activation,
            "special_tokens": c.special_tokens,
            "top_k": c.top_k or 0,
            "long_texts": c.long_texts,
            "queries": "table" if self.inference_free else "model",
        }

    def save(self, folder: str | Path) -> None:
        """Write a folder in the sentence-transformers layout, atomically.

        sentence-transformers loads it and encodes the same vectors (inference-free: a Router with a
        SparseStaticEmbedding), but for a checkpoint's dense head, `min_weight`, windows, query counts and
        `query_top_k`, which only we know and read from there again: its documents then are the first head's
        alone and hold the lighter terms too, long ones are cut, and queries count a repeated word once and
        keep all. Kinds that it has no modules for
        (echo, scalar heads, DeepImpact) are written as the transformers folder they are, with a
        `splade_engine` section in config.json.

        Raises:
            InvalidInputError: if the folder exists and is not empty.
            StorageError: if the disk refuses.
        """
        from splade_engine.encoder.folders.export import save_encoder

        save_encoder(self.checkpoint, folder, max_length=self.max_length, table=self.query_table)

    def __repr__(self) -> str:
        queries = "inference-free queries" if self.inference_free else "queries by model"
        return f"SparseEncoder({self.name!r}, {self.n_terms} terms, max_length {self.max_length}, {queries})"


def _n_terms(checkpoint: Checkpoint) -> int:
    """Size of the output, from the configs alone."""
    if checkpoint.autoencoder is not None:
        path, key = checkpoint.autoencoder / "config.json", "hidden_dim"
    else:
        path, key = checkpoint.model_folder / "config.json", "vocab_size"
    value = read_json(path).get(key)
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{path}: {key} is {value!r}")
    return value


def _checked_length(checkpoint: Checkpoint, max_length: int | None) -> int:
    if max_length is None:
        return checkpoint.max_length
    if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 3:
        raise InvalidInputError(f"max_length must be an integer of at least 3, got {max_length!r}")
    if checkpoint.positions is not None and max_length > checkpoint.positions:
        raise InvalidInputError(
            f"max_length {max_length}: {checkpoint.name} takes {checkpoint.positions} tokens"
        )
    return max_length


def _hash(checkpoint: Checkpoint) -> str:
    """xxh3 of every deciding file (30 GB/s: 1 ms for the bundled model) and of the settings."""
    import xxhash

    total = xxhash.xxh3_128()
    for path in checkpoint.files():
        digest = xxhash.xxh3_128()
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
        total.update(f"{path.name}:{digest.hexdigest()}\n".encode())
    c = checkpoint
    settings = (c.kind, c.pooling, c.activation, c.special_tokens, c.document_prompt, c.query_prompt)
    own: list[object] = [c.min_weight] if c.min_weight else []
    if isinstance(c.query, QueryTable) and (c.query.counts or c.query.top_k):
        own.append((c.query.counts, c.query.top_k))
    total.update(repr((*settings, *own)).encode())
    return total.hexdigest()
