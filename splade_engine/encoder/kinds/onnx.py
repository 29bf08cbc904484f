"""`Onnx`: a masked language model as one ONNX graph, run by onnxruntime without torch.

The graph (`folders/onnx.py` writes it) holds everything from token ids to term weights: body, head, pooling,
activation, the second head. Light terms and `top_k` are left to whoever stacks the rows, as for every kind.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

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
_INPUTS = ("input_ids", "attention_mask")
_FATAL = 4  # onnxruntime tells everything below on standard error, with escape sequences
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

PATIENCE = 20.0
"""Seconds that one token may take."""


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

    def phrase_terms(self) -> tuple[str, ...]:
        """See `Kind`."""
        return ("pairs",)

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
        self._graph, self._n_terms = graph, n_terms
        self._options: Any = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        # a graph may keep its weights in other files, which no fingerprint would see: it has to be whole
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph / "none"))
        with refusing(graph, "cannot be run"):
            providers = _providers(device, onnxruntime.get_available_providers())
            self._session: Any = onnxruntime.InferenceSession(
                graph.read_bytes(), options, providers=providers
            )
        self._check_signature()
        self._try()

    def _check_signature(self) -> None:
        """Refuse a graph from anything else than token ids and mask, or to anything else than weights."""
        taken = {i.name: (i.type, len(i.shape)) for i in self._session.get_inputs()}
        if taken != dict.fromkeys(_INPUTS, ("tensor(int64)", 2)):
            raise CheckpointError(
                f"{self._graph}: takes {_named(taken)}, expected int64 input_ids and attention_mask"
            )
        given = [(o.type, len(o.shape)) for o in self._session.get_outputs()]
        if given != [("tensor(float)", 2)]:
            raise CheckpointError(f"{self._graph}: gives {given!s:.200}, expected one float32 matrix")
        (output,) = self._session.get_outputs()
        if output.shape[1] != self._n_terms:
            raise CheckpointError(
                f"{self._graph}: gives {output.shape[1]!s:.80} terms, config.json says {self._n_terms}"
            )

    def _try(self) -> None:
        """Run one token, and stop the graph where it does not end: it may hold loops."""
        ended = threading.Timer(PATIENCE, self._stop)
        ended.daemon = True
        ended.start()
        try:
            self._weights([np.zeros(1, np.int32)])
        except Exception:
            if self._options.terminate:
                raise CheckpointError(
                    f"{self._graph}: takes more than {PATIENCE:g} s for one token: refused"
                ) from None
            raise
        finally:
            ended.cancel()

    def _stop(self) -> None:
        self._options.terminate = True

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

    def _weights(self, batch: Sequence[Ids]) -> NDArray[np.float32]:
        """float32[B, V].

        Raises:
            CheckpointError: if the graph fails, or gives another shape than it says or what is no weight.
        """
        ids = np.zeros((len(batch), max(len(row) for row in batch)), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        with refusing(self._graph, "cannot be run"):
            found = self._session.run(None, dict(zip(_INPUTS, (ids, mask), strict=True)), self._options)
        weights: NDArray[np.float32] = found[0]
        if weights.shape != (len(batch), self._n_terms):
            raise CheckpointError(
                f"{self._graph}: gives {weights.shape} numbers for {len(batch)} texts and "
                f"{self._n_terms} terms"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise CheckpointError(f"{self._graph}: gives weights that are not finite, or negative")
        return weights


def _named(inputs: dict[str, tuple[str, int]]) -> str:
    found = ", ".join(f"{name!a:.40} ({kind:.40}, {axes} axes)" for name, (kind, axes) in inputs.items())
    return f"{found:.200}" if found else "nothing"


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
