"""`DenseHead`: term weights of a text as a whole, beside those that its tokens predict one by one.

    e = normalize(P mean_i(h_i) + p)        a sentence embedding, float[E], from the body's hidden states
    w = relu(M e + c)                       added to the pooled weights of the masked-LM head

An inference-free query is a sum over its tokens, so M e is the form that a dense score takes in an inverted
index: with e(q) ~ sum_t q_t m_t, the dense score e(q) . e is sum_t q_t (m_t . e). M is fitted by
`training/teachers/static_queries.py`. A masked-LM head cannot say the same: its m_t is tied to the input
embedding, which mapped linearly to M ranks at .39 where M ranks at .52 (mean nDCG@10 of eleven collections).

In a model folder the head is `dense_head.safetensors`: `project.weight` [E, H], `project.bias` [E],
`decoder.bias` [V] and `decoder.weight` [V, E], in float32. The compact form has float16, and in place of the
large matrix four bits an entry: `decoder.codes` uint8[V, E / 2] with `decoder.scale` float16[V], two columns
a byte, the even one in the low half, 8 + round(m / scale).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from splade_engine.encoder.fast.linear import PackedLinear
from splade_engine.encoder.fast.pooling import mean_states
from splade_engine.encoder.place import Place
from splade_engine.errors import CheckpointError, reason_of
from splade_engine.files import atomic_file

_LARGEST = 7  # of the four-bit codes, either side of 0


class DenseHead(nn.Module):
    """See the module.

    Args:
        width: H, of a hidden state.
        size: E, of an embedding.
        n_terms: V.
    """

    def __init__(self, width: int, size: int, n_terms: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, size)
        self.decoder = nn.Linear(size, n_terms)

    def embed(self, means: Tensor) -> Tensor:
        """float[B, E] of unit length, of mean hidden states float[B, H]."""
        return F.normalize(self.project(means), dim=-1)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Term weights float[B, V] of embeddings float[B, E]."""
        return F.relu(self.decoder(embeddings))


class WholeText:
    """A dense head at inference: the hidden states of a batch to the term weights of its texts.

    Args:
        head: in float32.
        place: device, and dtype of the large product.
        dropped: int64 ids of the terms that stay zero, on the device; None: no term.
    """

    def __init__(self, head: DenseHead, place: Place, dropped: Tensor | None) -> None:
        self._project = head.project.to(place.device)
        weight, bias = (p.detach().clone().to(place.device) for p in head.decoder.parameters())
        if dropped is not None:
            weight[dropped], bias[dropped] = 0, 0
        self._dtype = place.dtype
        self._decoder = PackedLinear(weight, bias, place.dtype, ("relu", ""))

    def __call__(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """float32[B, V] of the states of all texts one after the other, dtype[T, H]."""
        embeddings = F.normalize(self._project(mean_states(hidden, lengths)), dim=-1)
        return self._decoder(embeddings.to(self._dtype)).float()


def save_dense_head(head: DenseHead, file: Path, *, compact: bool = False) -> None:
    """Write the head, in float32 or in the compact form: an eighth of the size."""
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in head.state_dict().items()}
    if compact:
        codes, scale = quantize(state.pop("decoder.weight"))
        state = {name: tensor.half() for name, tensor in state.items()}
        state |= {"decoder.codes": codes, "decoder.scale": scale}
    with atomic_file(file) as out:
        out.write(save(state, metadata={"format": "pt"}))


def load_dense_head(file: Path) -> DenseHead:
    """The head of a file, in float32, in evaluation mode.

    Raises:
        CheckpointError: if the file is not readable, or its tensors do not fit one another.
    """
    try:
        stored = load_file(file)
        state = {n: t if n == "decoder.codes" else t.float() for n, t in stored.items()}
        if "decoder.codes" in state:
            wide = widened(state.pop("decoder.codes"), state.pop("decoder.scale"))
            state["decoder.weight"] = wide[:, : len(state["project.weight"])]
        (size, width), n_terms = state["project.weight"].shape, len(state["decoder.bias"])
        head = DenseHead(width, size, n_terms)
        head.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{file}: not a dense head: {reason_of(error)}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise CheckpointError(f"{file}: holds a value that is not finite")
    return head.eval().requires_grad_(False)


def quantize(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """uint8[V, ceil(E / 2)] codes and float16[V] scales of float32[V, E].

    m_t . e is a sum over hundreds of columns, whose rounding errors cancel: nDCG@10 on cranfield and cacm
    .5585 and .5054 for .5569 and .5092, with a scale for every 32 columns .5548 and .5108.
    """
    scale = (matrix.abs().amax(1) / _LARGEST).half()
    divisor = torch.where(scale > 0, scale.float(), 1.0)[:, None]
    codes = (matrix / divisor).round().clamp(-_LARGEST, _LARGEST).add(8).to(torch.uint8)
    codes = F.pad(codes, (0, codes.shape[1] % 2), value=8)
    return codes[:, 0::2] | (codes[:, 1::2] << 4), scale


def widened(codes: Tensor, scale: Tensor) -> Tensor:
    """float32[V, E] of what `quantize` made; where E was odd, with one column of zeros more."""
    pairs = torch.stack((codes & 15, codes >> 4), -1).flatten(1).float() - 8
    return pairs * scale.float()[:, None]
