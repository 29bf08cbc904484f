"""`Runner`: batches of token ids through a checkpoint's model, out come sparse rows. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.backbone import Backbone, load_backbone
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.packed import load_packed
from splade_engine.encoder.pooling import VocabularyPooling, activate_
from splade_engine.encoder.screen import ScreenedPooling, fast_int8
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError

Row = tuple[NDArray[np.int32], NDArray[np.float32]]


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


@dataclass(frozen=True)
class Place:
    """Where and how exactly a model computes."""

    device: torch.device
    dtype: torch.dtype


def choose_place(device: str, dtype: str) -> Place:
    """Resolve `auto`.

    `device="auto"` takes CUDA, then Apple's GPU, then the processor. `dtype="auto"` is bfloat16 where the
    processor multiplies it natively (AVX512-BF16 or AMX; elsewhere it would be slower than float32), bfloat16
    or float16 on a GPU.

    Raises:
        InvalidInputError: for a name that torch does not know.
    """
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        where = torch.device(device)
    except RuntimeError:
        raise InvalidInputError(f"device {device!r}: expected auto, cpu, cuda, cuda:<n> or mps") from None
    if where.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError(f"device {device!r}: this torch sees no CUDA device")
    if dtype == "auto":
        return Place(where, _fastest(where))
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise InvalidInputError(f"dtype {dtype!r}: expected auto, {', '.join(known)}")
    return Place(where, known[dtype])


def _fastest(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and native_bfloat16():
        return torch.bfloat16
    return torch.float32


def native_bfloat16() -> bool:
    """Whether the processor has instructions that multiply bfloat16."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.10
    if capabilities:
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class MaskedLanguageModel:
    """SPLADE: every token predicts terms, pooled over the text.

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
            states = self._states(batch)
            if self._screened is not None:
                return [self._row(terms, best) for terms, best in self._screened(states, lengths)]
            assert self._pooling is not None
            return sparse_rows(self._pooling(states, lengths), top_k)

    def _states(self, batch: Sequence[Ids]) -> Tensor:
        """States before the vocabulary, dtype[T, H], without padding."""
        if self._packed is not None:
            return self._packed.states(batch)
        assert self._backbone is not None
        ids, mask = padded(batch, self.place.device)
        return self._backbone.transform(self._backbone.hidden(ids, mask)[mask.bool()])

    def _row(self, terms: Tensor, best: Tensor) -> Row:
        weights = activate_(best, self._activation)
        keep = weights > 0
        return _int32(terms[keep]), _numpy(weights[keep])


def padded(batch: Sequence[Ids], device: torch.device) -> tuple[Tensor, Tensor]:
    """int64[B, L] ids and mask, padded with 0 on the right (masked, so the id does not matter)."""
    longest = max(len(ids) for ids in batch)
    out = np.zeros((len(batch), longest), dtype=np.int64)
    mask = np.zeros_like(out)
    for row, ids in enumerate(batch):
        out[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return torch.from_numpy(out).to(device), torch.from_numpy(mask).to(device)


def sparse_rows(weights: Tensor, top_k: int | None) -> list[Row]:
    """Positive entries of float32[B, V] per row; with `top_k` the lighter ones never leave the device."""
    if top_k is not None and top_k < weights.shape[1]:
        # everything below the k-th weight goes; terms that tie with it stay until the caller breaks the tie
        # by term id (bfloat16 has many ties, and topk picks among them by chance)
        least = weights.topk(top_k, dim=1).values[:, -1:]
        weights = torch.where(weights >= least, weights, 0)
    if weights.device.type == "cpu":
        rows = []
        for row in _numpy(weights):
            terms_of_row = np.flatnonzero(row)
            rows.append((terms_of_row.astype(np.int32), row[terms_of_row]))
        return rows
    places = weights.nonzero()
    counts = torch.bincount(places[:, 0], minlength=len(weights)).cpu().numpy()
    cuts = np.cumsum(counts)[:-1]
    flat_terms, flat_weights = _int32(places[:, 1]), _numpy(weights[places[:, 0], places[:, 1]])
    return list(zip(np.split(flat_terms, cuts), np.split(flat_weights, cuts), strict=True))


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array


def _int32(tensor: Tensor) -> NDArray[np.int32]:
    array: NDArray[np.int32] = tensor.to(torch.int32).cpu().numpy()
    return array


def load_runner(checkpoint: Checkpoint, device: str, dtype: str, n_terms: int, special_ids: Ids) -> Runner:
    """The runner of a checkpoint's kind, on the device and in the precision asked for."""
    place = choose_place(device, dtype)
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
