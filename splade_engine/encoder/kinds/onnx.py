"""`Onnx`: a masked language model as one ONNX graph, run by onnxruntime without torch.

The graph (`folders/onnx.py` writes it) holds everything from token ids to term weights: body, head, pooling,
activation, the second head. Light terms and `top_k` are left to whoever stacks the rows, as for every kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from splade_engine.encoder.folders.files import existing, inside
from splade_engine.encoder.kind import Kind
from splade_engine.encoder.refusing import refusing
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.extras import needed

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

GRAPH = "model.onnx"
# tokens of a run, padding included: the graph makes tokens x vocabulary numbers before it pools them
_TOKENS = 1024


@dataclass(frozen=True)
class Onnx(Kind):
    """A graph from token ids to term weights."""

    name = "onnx"
    takes_windows = True
    in_safetensors = False

    graph: Path

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> Self:
        """The file that `graph` names."""
        return cls(existing(inside(folder, section.pop("graph", GRAPH), folder / "config.json")))

    def to_section(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"graph": self.graph.name}

    def runner_on(
        self, checkpoint: Checkpoint, device: str, dtype: str, n_terms: int, special_ids: Ids
    ) -> Runner:
        """See `Kind`; `device` is a processor or a GPU that onnxruntime was built for.

        Raises:
            InvalidInputError: for a device or a precision that it has not.
        """
        if dtype not in ("auto", "float32"):
            raise InvalidInputError(f"dtype {dtype!r}: an ONNX folder computes in float32")
        return _Runner(self.graph, device, n_terms)


class _Runner:
    """onnxruntime on padded batches; its own threads share a run, so one batch at a time."""

    workers = 1

    def __init__(self, graph: Path, device: str, n_terms: int) -> None:
        with needed("encoding with an ONNX folder"):
            import onnxruntime
        with refusing(graph, "cannot be run"):
            providers = _providers(device, onnxruntime.get_available_providers())
            self._session: Any = onnxruntime.InferenceSession(graph, providers=providers)
            found = [o.shape[-1] for o in self._session.get_outputs()]
        if found != [n_terms]:
            raise CheckpointError(f"{graph}: gives {found} terms, config.json says {n_terms}")

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with special tokens."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        longest = max(len(ids) for ids in batch)
        size = max(1, _TOKENS // longest)
        rows: list[Row] = []
        for start in range(0, len(batch), size):
            for weights in self._weights(batch[start : start + size]):
                terms = np.flatnonzero(weights)
                rows.append((terms.astype(np.int32), weights[terms]))
        return rows

    def _weights(self, batch: Sequence[Ids]) -> Any:
        """float32[B, V]."""
        ids = np.zeros((len(batch), max(len(row) for row in batch)), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        (weights,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return weights


def _providers(device: str, available: Sequence[str]) -> list[Any]:
    """What onnxruntime computes on.

    Raises:
        InvalidInputError: for a device that it was not built for.
    """
    name, _, number = device.partition(":")
    cuda = "CUDAExecutionProvider"
    if name == "cuda" and cuda in available and (number or "0").isdecimal():
        return [(cuda, {"device_id": int(number or 0)})]
    if device == "auto" and cuda in available:
        return [cuda, "CPUExecutionProvider"]
    if device in ("auto", "cpu"):
        return ["CPUExecutionProvider"]
    raise InvalidInputError(f"device {device!r:.60}: this onnxruntime has {', '.join(available)}")
