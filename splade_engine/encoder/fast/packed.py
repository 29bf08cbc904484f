"""`PackedBody` and `PackedBert`: BERT-like encoders on the processor, without padding.

The same weights and the same function as transformers' model, arranged for speed (numbers: one Zen 5 core,
MiniLM-L6, 8 texts of 240 tokens, milliseconds for all six layers where nothing else is said):

- Tokens of all texts of a batch are one matrix (T, H): nothing is computed for padding, and the linear layers
  see few, large products. Only attention runs per text.
- Linear layers call oneDNN with weights in its own blocked order and the activation fused (bfloat16: 82; in
  float32 oneDNN is three times as fast as MKL on AMD). With `int8` they multiply in int8 (`int8.py`).
- Attention in bfloat16 is exp(q k') [v 1], divided by its last column: two matrix products and one exp in
  place. torch's fused attention takes 80 at a head size of 32, its bfloat16 softmax alone 36; this takes 20,
  at 1.05 times the rounding error. No row maximum is subtracted, so exp overflows beyond 88 (BERT's first
  layer comes near): the sums tell, and such a text goes through torch's attention in that layer.

Supported: BERT, DistilBERT, RoBERTa, XLM-RoBERTa and CamemBERT with absolute positions. `load_packed`
returns None for anything else, and the transformers model is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.backbone import hf_config
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fast.families import (
    DISTIL,
    FAMILIES,
    ROBERTA,
    Names,
    activation_of,
    is_plain,
)
from splade_engine.encoder.fast.int8 import Int8Linear
from splade_engine.encoder.fast.linear import Linear, PackedLinear
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import position_offset
from splade_engine.encoder.folders.weights import (
    is_of_a_layer,
    read_tensors,
    read_weights,
    tell_of_unused,
)
from splade_engine.encoder.refusing import refusing
from splade_engine.encoder.tokens import Ids

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class _Layer:
    qkv: Linear  # rows: queries (scaled), keys, then per head its values and a constant one
    attention_out: Linear
    attention_norm: _Norm
    up: Linear
    down: Linear
    output_norm: _Norm


class PackedBody:
    """Embeddings and layers: token ids of whole batches to hidden states, without padding.

    Args:
        config: the model's config.json.
        state: its weights.
        dtype: of states.
        int8: whether the linear layers of the body multiply in int8.

    Attributes:
        dtype: of weights and states.
        width: H, of a state.
    """

    def __init__(
        self, config: Mapping[str, Any], state: State, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        names = FAMILIES[str(config["model_type"])]
        self.dtype = dtype
        self._linear: type[Linear] = Int8Linear if int8 else PackedLinear
        self.heads = int(config.get("num_attention_heads") or config["n_heads"])
        # DistilBERT has no field for it
        self.eps = 1e-12 if names is DISTIL else float(config.get("layer_norm_eps", 1e-12))
        self._offset = position_offset(config)
        activation = activation_of(config)
        body = names.body(state)
        self.width = int(config.get("hidden_size") or config["dim"])
        self._inner = int(config.get("intermediate_size") or config["hidden_dim"])
        words = shaped(body, "embeddings.word_embeddings.weight", None, self.width).float()
        positions = shaped(body, "embeddings.position_embeddings.weight", None, self.width).float()
        if names is not DISTIL:  # every text is one segment: its type vector is part of the position
            segments = shaped(body, "embeddings.token_type_embeddings.weight", None, self.width)
            positions = positions + segments[0].float()
        self._words, self._positions = words.to(dtype), positions.to(dtype)
        self._embedding_norm = self._norm(body, "embeddings.LayerNorm")
        layers = int(config.get("num_hidden_layers") or config["n_layers"])
        self._layers = [self._layer(body, names, i, activation) for i in range(layers)]
        modules = {name.format(i=i) for name in vars(names).values() for i in range(layers)}
        for name in body:  # adapters, relative positions
            module, _, leaf = name.rpartition(".")
            if is_of_a_layer(name) and (module not in modules or leaf not in ("weight", "bias")):
                raise KeyError(name)

    def _layer(self, body: State, names: Names, i: int, activation: tuple[str, str]) -> _Layer:
        def both(name: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
            name = name.format(i=i)
            weight = shaped(body, name + ".weight", outputs, inputs)
            return weight.float(), shaped(body, name + ".bias", outputs).float()

        width, inner = self.width, self._inner
        (q, qb), (k, kb), (v, vb) = (both(n, width, width) for n in (names.query, names.key, names.value))
        size = q.shape[0] // self.heads
        scale = 1 / math.sqrt(size)
        # a row of zeros with bias 1 after each head's values: exp(scores) @ [values, 1] sums the row as well
        v = F.pad(v.view(self.heads, size, -1), (0, 0, 0, 1)).flatten(0, 1)
        vb = F.pad(vb.view(self.heads, size), (0, 1), value=1.0).flatten()
        return _Layer(
            self._linear(torch.cat((q * scale, k, v)), torch.cat((qb * scale, kb, vb)), self.dtype),
            self._linear(*both(names.attention_out, width, width), self.dtype),
            self._norm(body, names.attention_norm.format(i=i)),
            self._linear(*both(names.up, inner, width), self.dtype, activation),
            self._linear(*both(names.down, width, inner), self.dtype),
            self._norm(body, names.output_norm.format(i=i)),
        )

    def _norm(self, state: State, name: str) -> _Norm:
        weight, bias = (shaped(state, f"{name}.{part}", self.width) for part in ("weight", "bias"))
        return _Norm(weight.to(self.dtype), bias.to(self.dtype), self.eps)

    def hidden(self, batch: Sequence[Ids]) -> Tensor:
        """Last hidden states, dtype[T, H], the tokens of all texts one after the other."""
        lengths = [len(ids) for ids in batch]
        runs = _equal_runs(lengths, self.heads)
        ids = torch.from_numpy(np.concatenate(batch).astype(np.int64))
        places = torch.from_numpy(np.concatenate([self._places(text) for text in batch]))
        x = self._embedding_norm(F.embedding(ids, self._words) + F.embedding(places, self._positions))
        for layer in self._layers:
            mixed = self._attention(layer.qkv(x), runs)
            x = layer.attention_norm(layer.attention_out.plus(mixed, x))
            x = layer.output_norm(layer.down.plus(layer.up(x), x))
        return x

    def _places(self, ids: Ids) -> NDArray[np.int64]:
        """int64[L]: the row of each token's position. RoBERTa counts the tokens that are not the padding."""
        if not self._offset:
            return np.arange(len(ids))
        padding = self._offset - 1
        counts = ids != padding
        places: NDArray[np.int64] = np.cumsum(counts) * counts + padding
        return places

    def _attention(self, qkv: Tensor, runs: list[tuple[int, int]]) -> Tensor:
        """Attention of every text with itself; see the module docstring."""
        width = (qkv.shape[1] - self.heads) // 3
        size = width // self.heads
        out = qkv.new_empty((len(qkv), width))
        start = 0
        for length, count in runs:
            rows = qkv[start : start + length * count]
            shape = (count, length, self.heads, -1)
            q = rows[:, :width].view(shape).transpose(1, 2)
            k = rows[:, width : 2 * width].view(shape).transpose(1, 2)
            v = rows[:, 2 * width :].view(shape).transpose(1, 2)
            target = out[start : start + length * count].view(shape).transpose(1, 2)
            if self.dtype == torch.bfloat16:
                flat = (count * self.heads, length, -1)
                scores = torch.bmm(q.reshape(flat), k.reshape(flat).transpose(1, 2))
                summed = torch.bmm(scores.exp_(), v.reshape(flat)).view(count, self.heads, length, -1)
                total = summed[..., size:]
                low, high = torch.aminmax(total)
                if low > _SMALLEST and high < _LARGEST:
                    torch.div(summed[..., :size], total, out=target)
                    start += length * count
                    continue
            target.copy_(F.scaled_dot_product_attention(q, k, v[..., :size], scale=1.0))
            start += length * count
        return out


class PackedBert(PackedBody):
    """The body with its masked-LM head, up to the vocabulary.

    Attributes:
        decoder_weight: dtype[V, H].
        decoder_bias: float32[V].
        state_range: float32[H], how large each coordinate of a state may be expected to get (from the last
            norm).
    """

    def __init__(
        self, config: Mapping[str, Any], state: State, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        super().__init__(config, state, dtype, int8=int8)
        names = FAMILIES[str(config["model_type"])]
        head_activation = ("gelu", "none") if names is ROBERTA else activation_of(config)
        self._head = PackedLinear(
            shaped(state, names.head_dense + ".weight", self.width, self.width),
            shaped(state, names.head_dense + ".bias", self.width),
            dtype,
            head_activation,
        )
        self._head_norm = self._norm(state, names.head_norm)
        # a decoder of its own is in the file only if it is not tied to the embeddings and the head's bias;
        # release 4 of transformers wrote that bias alone in any case
        decoder = names.decoder
        if decoder + ".weight" in state:
            own = shaped(state, decoder + ".weight", None, self.width)
            self.decoder_weight = own.to(dtype)
        elif config.get("tie_word_embeddings") is False:
            raise KeyError(decoder)  # the file lacks what is not tied
        else:
            self.decoder_weight = self._words
        bias = decoder + ".bias" if decoder + ".bias" in state else names.decoder_bias
        self.decoder_bias = shaped(state, bias, len(self.decoder_weight)).float()
        gamma, beta = state[names.head_norm + ".weight"].float(), state[names.head_norm + ".bias"].float()
        self.state_range = beta.abs() + 3 * gamma.abs()

    def states(self, batch: Sequence[Ids]) -> Tensor:
        """States before the vocabulary, dtype[T, H], the tokens of all texts one after the other."""
        return self.transform(self.hidden(batch))

    @torch.inference_mode()
    def sample(self) -> Tensor:
        """float32[T, H]: states of invented texts, the same every time; they tell which directions occur."""
        rng = np.random.default_rng(0)
        length = min(_SAMPLE_LENGTH, len(self._positions) - self._offset)
        batch = rng.integers(0, len(self._words), (_SAMPLE_TEXTS, length)).astype(np.int32)
        return self.states(list(batch)).float()

    def transform(self, hidden: Tensor) -> Tensor:
        """The head before the vocabulary: dtype[T, H] to dtype[T, H]."""
        return self._head_norm(self._head(hidden))


def shaped(state: State, name: str, *shape: int | None) -> Tensor:
    """A tensor, which has to have this shape; None is any size.

    A single number would be added where a row of them belongs, without a word.

    Raises:
        KeyError: there is none of that name.
        ValueError: it has another shape.
    """
    tensor = state[name]
    fits = tensor.dim() == len(shape)
    if not fits or any(n not in (None, m) for n, m in zip(shape, tensor.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name:.120} has the shape {list(tensor.shape)}, where [{wanted}] is needed")
    return tensor


# Sums of exponentials outside of these (e^-83, e^83) may have overflowed, or lost every term, on the way
_SMALLEST, _LARGEST = 1e-36, 1e36
# Of invented texts: random tokens
_SAMPLE_TEXTS, _SAMPLE_LENGTH = 16, 64
# Scores held at a time: beyond the second-level cache the two products slow down
_SCORES = 1 << 20


def _equal_runs(lengths: Sequence[int], heads: int) -> list[tuple[int, int]]:
    """Neighbours of equal length as (length, count), so that many short texts share one product."""
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][0] == length and (runs[-1][1] + 1) * heads * length**2 <= _SCORES:
            runs[-1] = (length, runs[-1][1] + 1)
        else:
            runs.append((length, 1))
    return runs


def load_packed(checkpoint: Checkpoint, dtype: torch.dtype, *, int8: bool = False) -> PackedBert | None:
    """The checkpoint's model as a `PackedBert`, or None where its architecture is not one of those."""
    config = hf_config(checkpoint)
    if not is_plain(config):
        return None
    state = read_weights(checkpoint)
    with refusing(checkpoint.model_folder, "cannot build the model"):
        try:
            packed = PackedBert(config, state, dtype, int8=int8)
        except KeyError:  # a variant whose weights have other names: transformers knows them
            return None
    tell_of_unused(FAMILIES[str(config["model_type"])].unknown(state), checkpoint.model_folder)
    return packed


def load_packed_body(folder: Path, dtype: torch.dtype) -> PackedBody | None:
    """The model of a folder, with or without a head, as a `PackedBody`; None for another architecture."""
    config = read_config(folder)
    if not is_plain(config):
        return None
    state = read_tensors(folder)
    with refusing(folder, "cannot build the model"):
        try:
            return PackedBody(config, state, dtype)
        except KeyError:
            return None
