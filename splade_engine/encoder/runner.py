"""`Runner`: batches of token ids through a checkpoint's model, out come sparse rows. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from splade_engine.encoder.backbone import Backbone, load_backbone
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fast.dense_head import WholeText, load_dense_head
from splade_engine.encoder.fast.packed import load_packed
from splade_engine.encoder.fast.pooling import VocabularyPooling, activate_
from splade_engine.encoder.fast.screen import ScreenedPooling, fast_int8
from splade_engine.encoder.place import Place, choose_place
from splade_engine.encoder.rows import Row, float32, int32, padded, sparse_rows
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError


class Runner(Protocol):
    """What `SparseEncoder` drives: one implementation per checkpoint kind.

    Attributes:
        workers: batches that may run at the same time, one thread each.
    """

    workers: int

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids per text (empty for a text without tokens), and how many texts were cut."""

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """Sorted terms and positive weights per text; every text has at least one token."""


class MaskedLanguageModel:
    """SPLADE: every token predicts terms, pooled over the text; with a dense head, so does the text.

    On the processor, `PackedBert` and `ScreenedPooling` do the work where architecture and pooling allow it;
    anything else, and every GPU, runs transformers' model on length-sorted padded batches.
    """

    def __init__(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> None:
        self.place = place
        self.workers = torch.get_num_threads() if place.device.type == "cpu" else 1
        self._activation = checkpoint.activation
        dropped = None
        if checkpoint.special_tokens == "zero" and len(special_ids):
            dropped = torch.from_numpy(special_ids.astype(np.int64)).to(place.device)
        self._packed = load_packed(checkpoint, place.dtype) if place.device.type == "cpu" else None
        self._backbone: Backbone | None = None
        if self._packed is not None:
            weight, bias = self._packed.decoder_weight, self._packed.decoder_bias
        else:
            self._backbone = load_backbone(checkpoint, place.device, place.dtype)
            weight, bias = self._backbone.decoder_weight, self._backbone.decoder_bias
        if len(weight) != n_terms:
            raise CheckpointError(
                f"{checkpoint.model_folder}: config.json says {n_terms} terms, the decoder has {len(weight)}"
            )
        self._whole: WholeText | None = None
        if checkpoint.dense_head is not None:
            head = load_dense_head(checkpoint.dense_head)
            if len(head.decoder.bias) != n_terms or head.project.in_features != weight.shape[1]:
                raise CheckpointError(
                    f"{checkpoint.dense_head}: {len(head.decoder.bias)} terms of states of "
                    f"{head.project.in_features} for a model of {n_terms} and {weight.shape[1]}"
                )
            self._whole = WholeText(head, place, dropped)
        self._screened: ScreenedPooling | None = None
        self._pooling: VocabularyPooling | None = None
        if self._packed is not None and checkpoint.pooling == "max" and fast_int8():
            self._screened = ScreenedPooling(weight, bias, self._packed.state_range, dropped)
        else:
            self._pooling = VocabularyPooling(
                weight, bias, checkpoint.pooling, checkpoint.activation, dropped
            )

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with [CLS] and [SEP]."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        lengths = [len(ids) for ids in batch]
        with torch.inference_mode():
            hidden, states = self._states(batch)
            whole = None if self._whole is None else self._whole(hidden, lengths)
            if self._screened is not None:
                rows = [self._row(terms, best) for terms, best in self._screened(states, lengths)]
                return rows if whole is None else _added(whole, rows, top_k)
            assert self._pooling is not None
            weights = self._pooling(states, lengths)
            return sparse_rows(weights if whole is None else weights + whole, top_k)

    def _states(self, batch: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """Hidden states and those before the vocabulary, dtype[T, H], without padding."""
        if self._packed is not None:
            hidden = self._packed.hidden(batch)
            return hidden, self._packed.transform(hidden)
        assert self._backbone is not None
        ids, mask = padded(batch, self.place.device)
        hidden = self._backbone.hidden(ids, mask)[mask.bool()]
        return hidden, self._backbone.transform(hidden)

    def _row(self, terms: Tensor, best: Tensor) -> Row:
        weights = activate_(best, self._activation)
        keep = weights > 0
        return int32(terms[keep]), float32(weights[keep])


def _added(whole: Tensor, rows: Sequence[Row], top_k: int | None) -> list[Row]:
    """`sparse_rows` of float32[B, V] plus sparse rows, on the processor."""
    for weights, (terms, more) in zip(float32(whole), rows, strict=True):
        weights[terms] += more  # shares the tensor's memory
    return sparse_rows(whole, top_k)


def load_runner(checkpoint: Checkpoint, device: str, dtype: str, n_terms: int, special_ids: Ids) -> Runner:
    """The runner of a checkpoint's kind, on the device and in the precision asked for."""
    place = choose_place(device, dtype)
    if checkpoint.kind == "echo":
        from splade_engine.encoder.kinds.echo import EchoModel

        return EchoModel(checkpoint, place, special_ids)
    if checkpoint.kind == "scalar":
        from splade_engine.encoder.kinds.scalar import ScalarModel

        return ScalarModel(checkpoint, place, n_terms, special_ids)
    if checkpoint.kind == "csr":
        from splade_engine.encoder.kinds.csr import AutoencoderModel

        return AutoencoderModel(checkpoint, place, n_terms)
    return MaskedLanguageModel(checkpoint, place, n_terms, special_ids)


@contextmanager
def single_threaded(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads each compute on their own, without torch's threads below them."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "encode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # a worker's setting is also what threads made later would start with
        torch.set_num_threads(before)
