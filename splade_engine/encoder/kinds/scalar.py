"""`ScalarModel`: term weighting without expansion, a runner like `MaskedLanguageModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splade_engine.encoder.backbone import hf_config
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fast.packed import read_tensors
from splade_engine.encoder.place import Place
from splade_engine.encoder.rows import Row, padded, sparse_rows
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError


class ScalarModel:
    """One weight per input token and no expansion.

    uniCOIL (2106.14807): relu(w h_i + b) on every token; a repeated token takes its maximum in a document and
    its sum in a query (`pooling`). DeepImpact (2104.12016): a two-layer network on the first piece of a
    word's first occurrence. Its terms are words, ours are pieces: every piece of a word carries an equal
    part of the word's impact, so that a query with the whole word scores the whole impact. Special tokens
    get no weight.
    """

    def __init__(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> None:
        from transformers import AutoConfig, AutoModel

        self.place = place
        self.workers = torch.get_num_threads() if place.device.type == "cpu" else 1
        self._n_terms = n_terms
        self._sum = checkpoint.pooling == "sum"
        self._special = torch.from_numpy(special_ids.astype(np.int64))
        state = read_tensors(checkpoint.model_folder)
        settings = hf_config(checkpoint)
        config = AutoConfig.for_model(**settings)
        auto: Any = AutoModel
        body: Any = auto.from_config(config, trust_remote_code=False)
        prefix = body.base_model_prefix + "."
        inner = {k.split(prefix, 1)[1]: v for k, v in state.items() if f".{prefix}" in f".{k}"}
        missing = [k for k in body.load_state_dict(inner, strict=False).missing_keys if "pooler" not in k]
        if missing:
            raise CheckpointError(f"{checkpoint.model_folder}: weights missing from the file: {missing[:3]}")
        self._body = body.to(device=place.device, dtype=place.dtype).eval()
        self._head = _linears(state, checkpoint.head_prefix, place)
        self._words = len(self._head) > 1

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens; for DeepImpact a second row with the word of every token."""
        ids, cut = tokenizer.encode(texts)
        if not self._words:
            return ids, cut
        words = tokenizer.word_numbers(texts)
        # both travel in one array: the word number in the upper 32 bits
        return [_joined(i, w) for i, w in zip(ids, words, strict=True)], cut

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        tokens = [i.astype(np.int64) & 0xFFFFFFFF for i in batch]
        with torch.inference_mode():
            ids, mask = padded(tokens, self.place.device)
            x = self._body(input_ids=ids, attention_mask=mask).last_hidden_state
            for weight, bias in self._head:
                x = F.linear(x, weight, bias).relu_()
            impacts = x.squeeze(-1).float().cpu()
        out = torch.zeros((len(batch), self._n_terms))
        for row, (packed, terms) in enumerate(zip(batch, tokens, strict=True)):
            weights = impacts[row, : len(terms)]
            if self._words:
                weights = torch.from_numpy(_by_word(packed >> 32, terms, weights.numpy()))
            how = "sum" if self._sum else "amax"
            out[row].scatter_reduce_(0, torch.from_numpy(terms), weights, reduce=how)
        out[:, self._special] = 0
        return sparse_rows(out, top_k)


def _joined(ids: Ids, words: Ids) -> Any:
    return ids.astype(np.int64) | (words.astype(np.int64) << 32)


def _by_word(words: Any, terms: Any, weights: Any) -> Any:
    """Every piece gets its word's impact (first piece, first occurrence) over the number of pieces."""
    out = np.zeros(len(terms), dtype=np.float32)
    seen: dict[tuple[int, ...], float] = {}
    starts = np.flatnonzero(np.diff(words, prepend=-2))
    for a, b in zip(starts, [*starts[1:], len(words)], strict=True):
        if words[a] >= 0:
            impact = seen.setdefault(tuple(terms[a:b].tolist()), float(weights[a]))
            out[a:b] = impact / (b - a)
    return out


def _linears(state: dict[str, Tensor], prefix: str, place: Place) -> list[tuple[Tensor, Tensor]]:
    """The head's layers in order: `prefix.weight`, or `prefix.0.weight`, `prefix.2.weight`, ..."""
    names = sorted(k for k in state if k.startswith(prefix + ".") and k.endswith("weight"))
    layers = []
    for name in names:
        bias = state.get(name.removesuffix("weight") + "bias", torch.zeros(len(state[name])))
        layers.append(tuple(t.to(device=place.device, dtype=place.dtype) for t in (state[name], bias)))
    return [(weight, bias) for weight, bias in layers]
