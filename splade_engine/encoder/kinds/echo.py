"""`Echo`: a causal language model that reads its input twice; the second copy has seen all of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_engine.encoder.checkpoint import Checkpoint
from splade_engine.encoder.folders.architecture import is_causal
from splade_engine.encoder.kind import Kind
from splade_engine.encoder.settings import DEFAULT_MAX_LENGTH
from splade_engine.errors import CheckpointError

if TYPE_CHECKING:
    from splade_engine.encoder.folders.plain import PlainFolder
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

# Echo embeddings [2402.15449] repeat the input; Mistral-SPLADE pools over the second copy [2408.11119]
DEFAULT_TEMPLATE = "{text}\n{text}"
_AROUND = 16  # tokens kept free for what stands around the two copies


@dataclass(frozen=True)
class Echo(Kind):
    """Mistral-SPLADE (2408.11119). `max_length` counts one copy."""

    name = "echo"
    auto_model = "AutoModelForCausalLM"

    # the input, with two {text}
    template: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        if not isinstance(self.template, str) or self.template.count("{text}") != 2:
            raise CheckpointError(f"the echo template needs {{text}} twice, got {self.template!r:.80}")

    @classmethod
    def recognise(cls, found: PlainFolder) -> Checkpoint | None:
        """A causal language model."""
        if not any(is_causal(name) for name in found.architectures):
            return None
        kind = cls()
        half = kind.positions(found.positions)
        limit = min(found.max_length, DEFAULT_MAX_LENGTH, half or DEFAULT_MAX_LENGTH)
        return found.checkpoint(kind, positions=half, max_length=limit)

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> Echo:
        """See `Kind`."""
        return cls(section.pop("echo", DEFAULT_TEMPLATE))

    def to_section(self) -> dict[str, Any]:
        """See `Kind`."""
        return {} if self.template == DEFAULT_TEMPLATE else {"echo": self.template}

    def positions(self, found: int | None) -> int | None:
        """Half of the model's: the text stands there twice."""
        return None if found is None else max((found - _AROUND) // 2, 3)

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """See `Kind`."""
        return _Runner(self.template, checkpoint, place, special_ids)


class _Runner:
    """A causal language model that reads its input twice; the second copy has seen all of the first.

    Mistral-SPLADE (2408.11119): logits over the second copy only, log1p(relu), max. `max_length` counts one
    copy.
    """

    def __init__(self, template: str, checkpoint: Checkpoint, place: Place, special_ids: Ids) -> None:
        from splade_engine.encoder.backbone import load_backbone
        from splade_engine.encoder.fast.pooling import VocabularyPooling
        from splade_engine.encoder.fast.vocabulary import on_device

        self.place = place
        self.workers = 1  # billions of parameters: one batch fills the machine
        self._backbone = load_backbone(checkpoint, place.device, place.dtype)
        self._parts = template.split("{text}")
        zero = special_ids if checkpoint.settings.special_tokens == "zero" else special_ids[:0]
        self._pooling = VocabularyPooling(
            self._backbone.decoder_weight,
            self._backbone.decoder_bias,
            checkpoint.settings,
            on_device(zero, place),
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
        import torch

        from splade_engine.encoder.rows import padded, sparse_rows

        with torch.inference_mode():
            ids, mask = padded(batch, self.place.device)
            hidden = self._backbone.transform(self._backbone.hidden(ids, mask))
            lengths = [(len(i) - self._fixed) // 2 for i in batch]
            ends = [len(i) - self._after for i in batch]
            places = enumerate(zip(lengths, ends, strict=True))
            second = [hidden[row, end - length : end] for row, (length, end) in places]
            return sparse_rows(self._pooling(torch.cat(second), lengths), top_k)
