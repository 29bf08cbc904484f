"""A dense encoder as a teacher: cosine of its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from splade_engine.encoder.fast.packed_dense import PackedDense, load_packed_dense
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.place import native_bfloat16
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.training.data.collate import pad
from splade_engine.training.student.head import mean_pool

_BATCH = 64


class DenseTeacher:
    """Cosine similarity of a sentence encoder's embeddings.

    Args:
        source: a sentence-transformers folder or hub id of an encoder with mean or [CLS] pooling.
        device: where it runs; in bfloat16 where the device computes it natively. On a CPU a BERT-like model
            runs packed: queries of ten tokens embed four times as fast as through transformers.
        max_length: tokens per text.
    """

    def __init__(
        self, source: str | Path, *, device: str | torch.device = "cpu", max_length: int = 256
    ) -> None:
        from splade_engine.encoder.backbone import load_pretrained

        folder, name = hub.resolve(str(source))
        self.device = torch.device(device)
        self.pooling = _dense_pooling(folder, name)
        self._packed: PackedDense | None = None
        if self.device.type == "cpu":
            dtype = torch.bfloat16 if native_bfloat16() else torch.float32
            self._packed = load_packed_dense(folder, self.pooling, dtype, max_length)
        if self._packed is None:
            model = load_pretrained(folder, "AutoModel", torch.float32)
            self.model: Any = model.eval().to(self.device).requires_grad_(False)
            self.tokenizer = TextTokenizer(folder, max_length)
        self._last: tuple[list[str], Tensor] | None = None

    def __call__(self, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
        """float32[n, m] scores."""
        return (self.embed(queries) @ self.embed_documents(documents).T).cpu()

    def embed_documents(self, texts: Sequence[str]) -> Tensor:
        """`embed`, kept until other texts come: a batch's own scores and `QueryBank` both ask."""
        if self._last is None or self._last[0] != list(texts):
            self._last = (list(texts), self.embed(texts))
        return self._last[1]

    @torch.no_grad()  # not inference mode, whose tensors no loss can be compared with
    def embed(self, texts: Sequence[str]) -> Tensor:
        """float32[n, H] of unit length, on the teacher's device."""
        if self._packed is not None:
            return torch.from_numpy(self._packed.encode(texts))
        lists, _ = self.tokenizer.encode(texts)
        # longest first: what a batch frees is room for all that follow
        order = np.argsort([-len(ids) for ids in lists], kind="stable")
        parts = []
        for first in range(0, len(order), _BATCH):
            ids, mask = pad([lists[i] for i in order[first : first + _BATCH]])
            ids, mask = ids.to(self.device), mask.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16):
                states = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            parts.append(F.normalize(self._pool(states.float(), mask), dim=1))
        if not parts:
            return torch.zeros((0, self.model.config.hidden_size), device=self.device)
        back = torch.from_numpy(np.argsort(order, kind="stable")).to(self.device)
        return torch.cat(parts)[back].clone()

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "cls":
            return states[:, 0]
        return mean_pool(states, mask)


def _dense_pooling(folder: Path, name: str) -> str:
    config = read_json(folder / "1_Pooling" / "config.json", optional=True)
    modes = [
        key.removeprefix("pooling_mode_")
        for key, on in config.items()
        if key.startswith("pooling_mode_") and on
    ]
    if isinstance(config.get("pooling_mode"), str):
        modes = [config["pooling_mode"]]
    modes = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes] or ["mean"]
    if modes not in (["mean"], ["cls"]):
        raise CheckpointError(
            f"{name}: a dense teacher pools by mean or cls, this one by {' + '.join(modes)}"
        )
    return modes[0]
