"""`EchoModel`: causal language models as sparse encoders, a runner like `MaskedLanguageModel`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from splade_engine.encoder.backbone import load_backbone
from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.fast.pooling import VocabularyPooling
from splade_engine.encoder.place import Place
from splade_engine.encoder.rows import Row, padded, sparse_rows
from splade_engine.encoder.tokens import Ids, TextTokenizer


class EchoModel:
    """A causal language model that reads its input twice; the second copy has seen all of the first.

    Mistral-SPLADE (2408.11119): logits over the second copy only, log1p(relu), max. `max_length` counts one
    copy.
    """

    def __init__(self, checkpoint: Checkpoint, place: Place, special_ids: Ids) -> None:
        self.place = place
        self.workers = 1  # billions of parameters: one batch fills the machine
        self._backbone = load_backbone(checkpoint, place.device, place.dtype)
        self._parts = checkpoint.echo.split("{text}")
        dropped = None
        if checkpoint.special_tokens == "zero" and len(special_ids):
            dropped = torch.from_numpy(special_ids.astype(np.int64)).to(place.device)
        self._pooling = VocabularyPooling(
            self._backbone.decoder_weight,
            self._backbone.decoder_bias,
            checkpoint.pooling,
            checkpoint.activation,
            dropped,
        )
        self._fixed, self._after = 0, 0

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Beginning-of-text tokens, then the template with the text's ids in both places."""
        (start,), _ = tokenizer.encode([""])
        (before, between, after), _ = tokenizer.encode(self._parts, special_tokens=False)
        self._fixed = len(start) + len(before) + len(between) + len(after)
        self._after = len(after)
        ids, cut = tokenizer.encode(texts, special_tokens=False)
        return [np.concatenate((start, before, i, between, i, after)).astype(np.int32) for i in ids], cut

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        with torch.inference_mode():
            ids, mask = padded(batch, self.place.device)
            hidden = self._backbone.transform(self._backbone.hidden(ids, mask))
            lengths = [(len(i) - self._fixed) // 2 for i in batch]
            ends = [len(i) - self._after for i in batch]
            places = enumerate(zip(lengths, ends, strict=True))
            second = [hidden[row, end - length : end] for row, (length, end) in places]
            return sparse_rows(self._pooling(torch.cat(second), lengths), top_k)
