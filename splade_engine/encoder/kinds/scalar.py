"""`Scalar`: term weighting without expansion, one weight per input token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.kind import Kind
from splade_engine.encoder.phrases import WordTerms
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from splade_engine.encoder.fast.padded import PaddedModel
    from splade_engine.encoder.folders.plain import PlainFolder
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

UNICOIL = "tok_proj"
DEEP_IMPACT = "impact_score_encoder"

_PIECE: Any = np.dtype([("token", np.int32), ("word", np.int32)])


@dataclass(frozen=True)
class Scalar(Kind):
    """uniCOIL [2106.14807] and DeepImpact [2104.12016]."""

    name = "scalar"
    auto_model = "AutoModel"

    # where the head's tensors are: their names up to `tok_proj` (uniCOIL) or `impact_score_encoder`
    # (DeepImpact)
    head_prefix: str = UNICOIL
    # what a token that is there several times weighs in a query, if it is encoded by this model: `sum` of its
    # weights, as published, or their `max`, as in documents (and in students of earlier releases)
    query_pooling: str = "max"

    def __post_init__(self) -> None:
        if self.query_pooling not in ("max", "sum"):
            raise CheckpointError(f"query_pooling {self.query_pooling!r:.80} is not one of max, sum")
        if not isinstance(self.head_prefix, str) or not self.head_prefix:
            raise CheckpointError(f"head_prefix is {self.head_prefix!r:.80}, not the name of a head")

    @classmethod
    def recognise(cls, found: PlainFolder) -> Checkpoint | None:
        """A head of one number per token among the weights."""
        prefix = _head_among(found.tensor_names)
        if prefix is None:
            return None
        kind = cls(prefix)
        plain = found.checkpoint(kind, activation="relu", special_tokens="zero")
        if prefix.endswith(UNICOIL):  # a repeated token counts once in a document and adds up in a query
            query = found.checkpoint(kind, activation="relu", special_tokens="zero", pooling="sum")
            return replace(plain, query=query)
        return replace(plain, query=QueryTable(found.folder, None))

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> Scalar:
        """See `Kind`."""
        return cls(section.pop("head_prefix", UNICOIL), section.pop("query_pooling", "max"))

    def to_section(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"head_prefix": self.head_prefix, "query_pooling": self.query_pooling}

    def phrase_terms(self) -> tuple[str, ...]:
        """See `Kind`: DeepImpact weighs words."""
        return ("pairs", "words") if self.head_prefix.endswith(DEEP_IMPACT) else ("pairs",)

    def with_queries(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Kind`."""
        if self.query_pooling == "max" or checkpoint.query is not None:
            return checkpoint
        settings = replace(checkpoint.settings, pooling="sum")
        return replace(checkpoint, query=replace(checkpoint, settings=settings))

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """See `Kind`."""
        from splade_engine.encoder.backbone import load_body
        from splade_engine.encoder.fast.states import padded_body
        from splade_engine.encoder.folders.weights import read_tensors
        from splade_engine.encoder.place import threads

        state = read_tensors(checkpoint.model_folder)
        head = _linears(state, self.head_prefix, place)
        folder = checkpoint.model_folder
        body = padded_body(load_body(folder, state, place), place, folder)
        workers = threads(place)
        settings = checkpoint.settings
        if len(head) > 1:
            by_word = _ByWord(body, head, place, n_terms, special_ids, workers)
            return (
                by_word.with_words(settings.phrase_buckets) if settings.phrase_terms == "words" else by_word
            )
        return _ByToken(body, head, place, n_terms, special_ids, workers, summed=settings.pooling == "sum")


def _head_among(names: Sequence[str]) -> str | None:
    """Prefix of the scalar head among tensor names."""
    for key in names:
        for prefix in (UNICOIL, DEEP_IMPACT):
            if re.search(rf"(^|\.){prefix}\.(0\.)?weight$", key):
                return key[: key.index(prefix) + len(prefix)]
    return None


class _ByToken:
    """uniCOIL: relu(w h_i + b) on every token; special tokens get no weight.

    A repeated token takes its maximum in a document and its sum in a query.
    """

    def __init__(
        self,
        body: PaddedModel,
        head: Sequence[tuple[Tensor, Tensor]],
        place: Place,
        n_terms: int,
        special_ids: Ids,
        workers: int,
        *,
        summed: bool = False,
    ) -> None:
        self.place = place
        self.workers = workers
        self._body, self._head = body, head
        self._n_terms = n_terms
        self._reduce = "sum" if summed else "amax"
        self._special = special_ids.astype(np.int64)

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        impacts = self._impacts(batch)
        return self._rows(batch, [impacts[row, : len(ids)] for row, ids in enumerate(batch)], top_k)

    def _impacts(self, batch: Sequence[Ids]) -> Tensor:
        """The head's number for every token, float32[B, L]."""
        import torch
        import torch.nn.functional as F

        with torch.inference_mode():
            x, _ = self._body(batch)
            for weight, bias in self._head:
                x = F.linear(x, weight, bias).relu_()
            impacts: Tensor = x.squeeze(-1).float().cpu()
            return impacts

    def _rows(self, batch: Sequence[NDArray[Any]], impacts: Sequence[Tensor], top_k: int | None) -> list[Row]:
        import torch

        from splade_engine.encoder.rows import sparse_rows

        out = torch.zeros((len(batch), self._n_terms))
        for row, (terms, weights) in enumerate(zip(batch, impacts, strict=True)):
            places = torch.from_numpy(terms.astype(np.int64))
            out[row].scatter_reduce_(0, places, weights, reduce=self._reduce)
        out[:, torch.from_numpy(self._special)] = 0
        return sparse_rows(out, top_k)


class _ByWord(_ByToken):
    """DeepImpact: a two-layer network on the first piece of a word's first occurrence.

    Its terms are words. As terms of a vocabulary of pieces every piece of a word carries an equal part of the
    word's impact, so that a query with the whole word scores the whole impact. `with_words` the terms are
    words.
    """

    _words: WordTerms | None = None

    def with_words(self, buckets: int) -> Self:
        """This runner with words of several pieces as terms behind the vocabulary."""
        self._words = WordTerms(self._n_terms, buckets)
        self._n_terms += buckets
        return self

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens and the number of every token's word, as `_PIECE`s."""
        ids, cut = tokenizer.encode(texts)
        pieces = []
        for tokens, words in zip(ids, tokenizer.word_numbers(texts), strict=True):
            pieces.append(np.empty(len(tokens), _PIECE))
            pieces[-1]["token"], pieces[-1]["word"] = tokens, words
        return pieces, cut

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        import torch

        pieces: Any = batch
        impacts = self._impacts([text["token"] for text in pieces])
        terms, weights = [], []
        for text, of in zip(pieces, impacts, strict=True):
            first, shares, term = word_terms(text["token"], text["word"], self._words)
            own = of.numpy()[first] / np.maximum(shares, 1)
            terms.append(term)
            weights.append(torch.from_numpy(np.where(shares > 0, own, 0).astype(np.float32)))
        return self._rows(terms, weights, top_k)


def word_terms(
    ids: NDArray[Any], words: NDArray[Any], whole: WordTerms | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which words each token of a text weighs, int64[L] three times.

    Args:
        ids: int[L], token ids; the same ids in a row are the same word.
        words: int[L], the number of each token's word, -1 for special tokens.
        whole: the terms that whole words have; None: a word's pieces share its weight evenly.

    Returns:
        Where the first piece of the word's first occurrence stands; by what its weight is divided, 0 for
        tokens that weigh nothing; the term that gets it.
    """
    first, shares = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    terms = ids.astype(np.int64)
    seen: dict[tuple[int, ...], int] = {}
    starts = np.flatnonzero(np.diff(words, prepend=-2))
    for a, b in zip(starts.tolist(), [*starts[1:].tolist(), len(words)], strict=True):
        if words[a] >= 0:
            first[a:b] = seen.setdefault(tuple(ids[a:b].tolist()), a)
            shares[a:b] = b - a
    if whole is not None:
        of_words, at, _ = whole.of_tokens(ids, words)
        terms[at] = of_words
        shares[:] = 0
        shares[at] = 1
    return first, shares, terms


def _linears(state: dict[str, Tensor], prefix: str, place: Place) -> list[tuple[Tensor, Tensor]]:
    """The head's layers in order: `prefix.weight`, or `prefix.0.weight`, `prefix.2.weight`, ..."""
    import torch

    names = sorted(k for k in state if k.startswith(prefix + ".") and k.endswith("weight"))
    layers = []
    for name in names:
        bias = state.get(name.removesuffix("weight") + "bias", torch.zeros(len(state[name])))
        layers.append(tuple(t.to(device=place.device, dtype=place.dtype) for t in (state[name], bias)))
    return [(weight, bias) for weight, bias in layers]


def save_scalar(model: Any, head: nn.Module, folder: Path, head_name: str = UNICOIL) -> None:
    """Body and head of a trained student in one file, under the names of the published checkpoints."""
    from safetensors.torch import save_file

    prefix = getattr(model, "base_model_prefix", "bert")
    body = model.base_model.state_dict()
    state = {f"{prefix}.{name}": tensor.detach().contiguous().clone() for name, tensor in body.items()}
    for name, tensor in head.state_dict().items():
        state[f"{head_name}.{name}"] = tensor.detach().contiguous().clone()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(folder)
