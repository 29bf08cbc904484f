"""`SparseEncoder`: text in, `SparseVectors` out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import path_of, whole
from splade_engine.encoder.arguments import (
    check_place,
    checked_devices,
    model_folder,
    phrase_settings,
    with_length,
)
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fingerprint import VERSION, checkpoint_hash, checkpoint_hash_1, described
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.checking import check_checkpoint
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.neighbours import Neighbours, read_neighbours
from splade_engine.encoder.phrases import TermSpans, phrase_names
from splade_engine.encoder.queries import query_side
from splade_engine.encoder.query_table import TableEncoder
from splade_engine.encoder.refusing import refusing
from splade_engine.encoder.settings import EncoderSettings, LongTexts, blaming
from splade_engine.encoder.side import EncodedTexts, NeuralSide
from splade_engine.encoder.tokens import check_texts
from splade_engine.extras import needed
from splade_engine.files import atomic_folder
from splade_engine.progress import Progress, check_progress
from splade_engine.vectors import SparseVectors

logger = logging.getLogger(__name__)

# Tokens per batch, padding included. Large enough to keep the processor's matrix units busy, small enough
# that a batch's states (4096 x 1536 x 2 bytes in the feed-forward layer of a MiniLM) stay in the last-level
# cache.
BATCH_TOKENS = 4096

# what `load` decided: set afterwards, it would be told of vectors that were made without it
_FIXED = frozenset({"checkpoint", "max_length", "n_terms", "name"})


class SparseEncoder:
    """A learned sparse encoder: documents and queries to weighted vocabulary terms.

    Results come in input order. How texts are grouped into batches matters at most by rounding. BERT-like
    models on the processor see every text alone in attention and give the same bits for any `batch_tokens`
    (as measured, not promised). Padded models and GPUs agree within 1e-5 in float32; in bfloat16 weights
    move by up to 0.07, which is also that precision's distance to float32 (cosine of the vectors: 0.9999). A
    term whose weight is that close to zero, or to the checkpoint's `min_weight`, may come or go. Of the
    attributes `truncated` alone can be set.

    Attributes:
        n_terms: size of the vocabulary, with the phrase terms behind it (`phrase_terms`).
        max_length: tokens per text; longer texts are cut, with one warning in the log per call that counts
            them, or encoded in windows where the checkpoint says so.
        inference_free: queries cost a table look-up and need neither torch nor transformers.
        name: hub id or folder name.
        truncated: how many texts were cut since the encoder was loaded.
        neighbours: the documents that lend their terms to what is encoded; None unless it was adapted to a
            collection.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
    ) -> None:
        check_place(device, dtype)
        checkpoint = with_length(checkpoint, max_length)
        with refusing(checkpoint.folder, "cannot be loaded"):
            check_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.max_length = checkpoint.settings.max_length
        settings = checkpoint.settings
        self.n_terms = checkpoint.n_terms + settings.extra_terms
        self.truncated = 0
        self._documents = NeuralSide(checkpoint, settings.document_prompt, device, dtype, settings.min_weight)
        self._queries = query_side(checkpoint, self._documents)
        # the documents that lend their terms to what is encoded, where it was adapted to a collection
        self.neighbours = _neighbours(checkpoint, self.n_terms)
        self._vocabulary: tuple[str, ...] | None = None
        self._spans: TermSpans | None = None

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
            source: None for the bundled model, `tiny` for its smaller size, a folder, or a hub id. A folder,
                or any source while HF_HUB_OFFLINE=1, never touches the network.
            device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:<n>`, `mps`.
            dtype: `auto` (bfloat16 where the device multiplies it natively), `float32`, `bfloat16`,
                `float16`; or `int8`, for BERT-like models on a processor with AVX512-VNNI or AMX: their
                layers multiply in int8, which is faster and a little less exact (docs/encoders.md).
            max_length: tokens per text instead of the checkpoint's own limit. Queries that the checkpoint
                cuts elsewhere than documents keep their limit.
            long_texts: what happens to longer documents, instead of what the checkpoint says: `cut`, or
                `windows` (encoded in overlapping windows of max_length tokens, of which each term's largest
                weight counts; several times the work for a text several times as long).
            revision: branch, tag or commit of a hub id.

        Raises:
            CheckpointError: if there is no such checkpoint, or it is of no known kind, or not in safetensors.
            InvalidInputError: for a bad argument.
        """
        source = path_of("source", source) if source is not None and not isinstance(source, str) else source
        folder, name = hub.resolve(source, revision)
        hub_id = name if hub.is_hub_id(source) else None
        with refusing(folder, "cannot be loaded"):
            checkpoint = read_checkpoint(folder, name, hub_id=hub_id)
        if long_texts is not None:
            with blaming(folder):
                checkpoint = replace(checkpoint, settings=replace(checkpoint.settings, long_texts=long_texts))
        if checkpoint.query is None and hub_id and (half := hub.query_half(hub_id, revision)) is not None:
            checkpoint = replace(checkpoint, query=read_checkpoint(half))
        return cls(checkpoint, device=device, dtype=dtype, max_length=max_length)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _FIXED and name in vars(self):
            raise AttributeError(f"{name} of a loaded encoder cannot be set: load it again with another one")
        super().__setattr__(name, value)

    @property
    def inference_free(self) -> bool:
        """Whether queries need no model."""
        return self.query_table is not None

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of every term id: `vocabulary[term]`, n_terms entries."""
        if self._vocabulary is None:
            n_tokens = self.checkpoint.n_terms
            names = self.checkpoint.kind.term_names(n_tokens) or self._queries.tokenizer.vocabulary(n_tokens)
            self._vocabulary = (*names, *phrase_names(n_tokens, self.n_terms - n_tokens))
        return self._vocabulary

    @property
    def source(self) -> str | None:
        """What `load` takes to load it again: None for the bundled model, `tiny`, a hub id or a folder."""
        folder = self.checkpoint.folder.resolve()
        size = hub.bundled_size(folder)
        if size is not None:
            return None if size == hub.DEFAULT else size
        return self.name if "/" in self.name else str(folder)

    @property
    def query_table(self) -> NDArray[np.float32] | None:
        """float32[V], the weight of a token that stands in a query once; None unless inference-free.

        V is the size of the vocabulary: what phrase terms weigh depends on their tokens.
        """
        return self._queries.table if isinstance(self._queries, TableEncoder) else None

    def word_spans(self, text: str) -> list[tuple[int, int, int]]:
        """(term, start, end) of every token of a text; start and end bound the word it is a piece of.

        Of a phrase term they bound its words; phrase terms come after the tokens.
        """
        if self._spans is None:
            self._spans = TermSpans(
                self.checkpoint.settings, self._queries.tokenizer, self.checkpoint.n_terms
            )
        return self._spans(text)

    def term_names(self, text: str) -> Mapping[int, str]:
        """The words of the phrase terms of a text, which `vocabulary` can only number."""
        n_tokens = self.checkpoint.n_terms
        return {term: text[a:b].lower() for term, a, b in self.word_spans(text) if term >= n_tokens}

    def token_starts(self, text: str) -> NDArray[np.int64]:
        """int64[tokens]: the character at which each token of a document begins, special tokens left out.

        Nothing is cut: this is how long a text is for the encoder.
        """
        return self._documents.tokenizer.starts(text)

    @property
    def room(self) -> int:
        """How many tokens of a document are read: `max_length` without special tokens and the prompt."""
        return self._documents.tokenizer.room(self._documents.prompt)

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        top_k: int | None = None,
        progress: Progress = False,
        device: Sequence[str] | None = None,
    ) -> SparseVectors:
        """Document vectors, one row per text, in order; a blank text is an empty row.

        Args:
            texts: strings of any length; what happens beyond `max_length` tokens is the checkpoint's
                `long_texts`.
            batch_tokens: tokens per batch, padding included.
            top_k: keep the heaviest terms of each row (among equals the smaller id); None keeps the
                checkpoint's.
            progress: see `Progress`.
            device: several devices, `["cuda:0", "cuda:1"]`: one process each, which loads the model for
                itself; None for the encoder's own device. A script has its code under
                `if __name__ == "__main__":` then.

        Raises:
            InvalidInputError: for a row that is not a string (the message names it) or a bad argument.
            SpladeEngineError: if the process of a device ends too early.
        """
        encoded = self.encode_counted(
            texts, batch_tokens=batch_tokens, top_k=top_k, progress=progress, device=device
        )
        self._warn(self._documents, encoded.truncated, len(texts))
        foreign = sum(1 for row in encoded.unknown.tolist() if texts[row].strip())
        if foreign:
            logger.warning("%d of %d texts hold no token that the encoder knows", foreign, len(texts))
        return encoded.vectors

    def encode_counted(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = BATCH_TOKENS,
        top_k: int | None = None,
        progress: Progress = False,
        device: Sequence[str] | None = None,
    ) -> EncodedTexts:
        """Document vectors as `encode_documents` gives them, and what it would have logged as numbers."""
        few = self.checkpoint.settings.top_k if top_k is None else top_k
        encoded = self._encode(self._documents, texts, batch_tokens, few, progress, device)
        if self.neighbours is None:
            return encoded
        vectors = self.neighbours.lend(encoded.vectors)
        return replace(encoded, vectors=vectors if top_k is None else vectors.top_k(top_k))

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
            if batch_tokens is not BATCH_TOKENS:
                whole("batch_tokens", batch_tokens, 1)  # nothing is made of it here
            if progress is not False:
                check_progress(progress)  # nor of this
            few = self._query_top_k if top_k is None else whole("top_k", top_k, 1)
            vectors, truncated = side.encode(texts, few)
            self.truncated += truncated
        else:
            few = self._query_top_k if top_k is None else top_k
            encoded = self._encode(side, texts, batch_tokens, few, progress)
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
        devices: Sequence[str] | None = None,
    ) -> EncodedTexts:
        check_texts(texts)
        check_progress(progress)
        top_k = None if top_k is None else whole("top_k", top_k, 1)
        batch_tokens = whole("batch_tokens", batch_tokens, 1)
        if devices is None:
            encoded = side.encode(texts, batch_tokens=batch_tokens, top_k=top_k, progress=progress)
        else:
            from splade_engine.encoder.processes import encode_on

            named = checked_devices(devices)
            encoded = encode_on(side, named, texts, batch_tokens=batch_tokens, top_k=top_k, progress=progress)
        self.truncated += encoded.truncated
        known = len(texts) - len(encoded.unknown) - sum(1 for text in texts if not text.strip())
        if known > 0 and not encoded.vectors.nnz:
            logger.warning(
                "%s: %d texts of known words came out without a term: check that its weights and settings "
                "belong together",
                self.name,
                known,
            )
        return encoded

    def _warn(self, side: NeuralSide | TableEncoder, truncated: int, n_texts: int) -> None:
        if truncated:
            limit = side.tokenizer.max_length
            logger.warning("%d of %d texts were cut to %d tokens (max_length)", truncated, n_texts, limit)

    @property
    def _query_top_k(self) -> int | None:
        """Terms kept per query where the caller does not say; None keeps all."""
        query = self.checkpoint.query
        return (query if isinstance(query, Checkpoint) else self.checkpoint).settings.kept_of_queries

    def fingerprint(self) -> dict[str, str | int]:
        """What an index remembers of its encoder.

        `hash` covers weights, tokenizers and settings, and is the same on every machine that holds the same
        files. Where and in which precision the encoder runs is not part of it.

        Raises:
            CheckpointError: the files have changed since the encoder was loaded.
        """
        described_so = described(self.checkpoint, self.name)
        return {**described_so, "hash": self._documents.files.hash, "version": VERSION}

    def fingerprint_1(self) -> dict[str, str | int]:
        """The fingerprint that earlier releases wrote, for comparison with what they have left.

        Its hash sees neither lower-casing nor the truncation side, nor every file.
        """
        return {**described(self.checkpoint, self.name), "hash": checkpoint_hash_1(self.checkpoint)}

    def save(self, folder: str | Path) -> None:
        """Write a folder in the sentence-transformers layout, atomically.

        `load` reads all of it again. sentence-transformers loads it and encodes the same vectors (an
        inference-free encoder as a Router with a SparseStaticEmbedding), with these exceptions. It knows
        neither a second head nor `min_weight`, windows, query counts and `query_top_k`. Documents are then
        those of the first head with the lighter terms too, long ones are cut, and queries count a repeated
        word once and keep all. Kinds that it has no modules for (echo, scalar heads, DeepImpact) are written
        as the transformers folder they are, with a `splade_engine` section in config.json.

        Raises:
            InvalidInputError: if the folder exists and is not empty.
            StorageError: if the disk refuses.
        """
        from splade_engine.encoder.folders.export import save_encoder

        save_encoder(self.checkpoint, model_folder("folder", folder), table=self.query_table)

    def save_with_phrases(
        self,
        folder: str | Path,
        phrases: Literal["pairs", "words"] = "pairs",
        *,
        buckets: int = EncoderSettings.phrase_buckets,
        factor: float = EncoderSettings.phrase_factor,
    ) -> SparseEncoder:
        """Write this encoder with phrase terms, atomically, and load that folder on this device.

        Terms of several tokens come behind the vocabulary, which a hash gives a number: pairs of neighbouring
        tokens beside the single ones, for names, part numbers and words that must stand together; or words of
        several pieces in place of these, which is what DeepImpact weighs. Queries stay a look-up where they
        are one. Every document gets more terms, so an index has to be built again.

        Args:
            folder: must not exist, or be empty.
            phrases: `pairs`; or `words`, of a DeepImpact encoder.
            buckets: how many phrase terms there are, up to 1,048,576; phrases that share one cannot be told
                apart.
            factor: weight of a pair, as a share of its lighter token's, in documents and in queries.

        Raises:
            CheckpointError: the encoder is of a kind that has no such terms.
            InvalidInputError: the folder is not empty, or an argument is bad.
            StorageError: the disk refuses.
        """
        from splade_engine.encoder.folders.phrases import write_with_phrases

        folder = model_folder("folder", folder)
        settings = phrase_settings(phrases, buckets, factor)
        with atomic_folder(folder) as out:
            write_with_phrases(self.checkpoint, out, settings, self.query_table)
            SparseEncoder.load(out, device="cpu")  # what is refused is refused before the folder is there
        device = self._documents.device
        return SparseEncoder.load(folder, device=device, dtype=self._documents.dtype)

    def push_to_hub(self, repo: str, *, private: bool | None = None, message: str | None = None) -> str:
        """Share the encoder on the Hugging Face Hub, as the folder that it is; the commit's hash.

        `SparseEncoder.load("hf://owner/name")` loads it. A repository without a model card gets one.

        Args:
            repo: `owner/name`, perhaps `owner/name@branch`; it is created where there is none.
            private: whether one that is created is; None: what its owner has as the default.
            message: of the commit.

        Raises:
            HubError: the Hub refuses, or is out of reach.
            CheckpointError: one folder cannot hold everything that decides this encoder's vectors.
        """
        from splade_engine.encoder.sharing import push_encoder

        return push_encoder(self, repo, private=private, message=message)

    def export_onnx(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a folder that onnxruntime runs without torch (extra `onnx`), atomically.

        `SparseEncoder.load(folder)` reads it; its vectors are those of `dtype="float32"` within 1e-3 (a term
        that is this close to zero, or to `min_weight`, may come or go). Exporting needs torch.

        Args:
            folder: must not exist, or be empty, unless `overwrite`.
            overwrite: replace an ONNX folder that is there.

        Raises:
            CheckpointError: if this kind of encoder cannot be exported.
            MissingExtraError: without onnx and onnxruntime.
            InvalidInputError: if the folder is not empty.
            StorageError: if the disk refuses.
        """
        folder = model_folder("folder", folder)
        with needed("exporting to ONNX"):
            from splade_engine.encoder.folders.onnx import export_onnx

        export_onnx(self.checkpoint, folder, table=self.query_table, overwrite=overwrite)

    def __repr__(self) -> str:
        queries = "inference-free queries" if self.inference_free else "queries by model"
        return f"SparseEncoder({self.name!r}, {self.n_terms} terms, max_length {self.max_length}, {queries})"


def _neighbours(checkpoint: Checkpoint, n_terms: int) -> Neighbours | None:
    """The neighbours of an adapted encoder.

    Raises:
        CheckpointError: they are damaged, or of another encoder.
    """
    if checkpoint.neighbours is None:
        return None
    alone = checkpoint_hash(replace(checkpoint, neighbours=None))
    return read_neighbours(checkpoint.neighbours, alone, n_terms)
