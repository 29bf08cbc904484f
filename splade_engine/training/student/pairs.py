"""`Pairs`: terms of neighbouring tokens while an encoder is trained, with a factor that is learned."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from splade_engine.encoder.phrases import PhraseTerms
from splade_engine.training.student.activations import keep_top_k

MOST = 10.0  # what `EncoderSettings.phrase_factor` can be


class Pairs(nn.Module):
    """Puts a text's pairs behind its terms, as the finished encoder does (after Sparc, arXiv 1911.02896).

    A pair weighs `factor` times the lighter of its tokens, so a ranking loss reaches both: the weight of that
    token in its context, and the factor.

    Args:
        terms: of the encoder; its factor is where learning starts.
    """

    def __init__(self, terms: PhraseTerms) -> None:
        super().__init__()
        self.terms = terms
        # its logarithm is learned, so that it stays above zero
        self.log_factor = nn.Parameter(torch.tensor(math.log(float(terms.factor))))

    @property
    def factor(self) -> float:
        """As it is now."""
        return min(MOST, float(self.log_factor.detach().exp()))

    def forward(
        self, vectors: Tensor, weights: Tensor, ids: Tensor, mask: Tensor, top_k: int | None
    ) -> Tensor:
        """float[B, V + buckets]: the vectors of texts with their pairs.

        Args:
            vectors: float[B, V].
            weights: float[B, V], what tokens weigh: the vectors, or the rows of a query table.
            ids: int64[B, L], token ids.
            mask: bool or integer [B, L], which of them are no padding.
            top_k: terms kept of each text; None keeps all.
        """
        texts = zip(ids.cpu().numpy(), mask.bool().cpu().numpy(), strict=True)
        found = [self._of_text(row, tokens[real]) for row, (tokens, real) in enumerate(texts)]
        rows, first, second = (np.concatenate(column) for column in zip(*found, strict=True))
        places = rows * self.terms.buckets + self.terms.terms(first, second) - self.terms.n_tokens
        row, a, b, place = (torch.from_numpy(x).to(vectors.device) for x in (rows, first, second, places))
        lighter = torch.minimum(weights[row, a], weights[row, b]) * self.log_factor.exp().clamp(max=MOST)
        pairs = vectors.new_zeros(len(ids) * self.terms.buckets)
        pairs = pairs.scatter_reduce(0, place, lighter.to(pairs.dtype), "amax")
        out = torch.cat([vectors, pairs.view(len(ids), -1)], 1)
        return keep_top_k(out, top_k) if top_k else out

    def _of_text(self, row: int, tokens: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """int64[P] three times: its row, the first and the second token of its pairs."""
        a, b = self.terms.neighbours(tokens)
        return np.full(len(a), row, np.int64), tokens[a], tokens[b]
