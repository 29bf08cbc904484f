"""Writing an encoder as an ONNX folder, which onnxruntime runs without torch (`kinds/onnx.py`).

config.json                 the model's config and a `splade_engine` section of kind `onnx`
model.onnx                  int64[B, L] `input_ids` and `attention_mask` to float32[B, V] `weights`
tokenizer.json, tokenizer_config.json
query_weights.safetensors   the query table of an inference-free encoder
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from splade_engine.encoder.backbone import Backbone, hf_config, load_backbone
from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.fast.dense_head import load_dense_head
from splade_engine.encoder.fast.pooling import activate_
from splade_engine.encoder.folders.ours import QUERY_WEIGHTS, SECTION, section_of, write_table
from splade_engine.encoder.folders.tokenizer import save_tokenizer
from splade_engine.encoder.kinds import MaskedLm, Onnx
from splade_engine.encoder.kinds.onnx import GRAPH
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.extras import needed
from splade_engine.files import atomic_folder, write_json

if TYPE_CHECKING:
    from splade_engine.encoder.tokens import Ids

EQUAL = 1e-3
"""How far a weight of the graph may be from ours in float32."""

_OPSET = 17
_LARGEST = 2_000_000_000  # bytes of one ONNX file, a protocol buffer
_TEXTS = ("a", "the tide comes in twice a day and the moon is why", "one two three four")


def export_onnx(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    table: NDArray[np.float32] | None,
    overwrite: bool = False,
) -> None:
    """Write `checkpoint` as an ONNX folder, atomically.

    Args:
        checkpoint: a masked language model, with or without a second head.
        folder: must not exist, or be empty, unless `overwrite`.
        table: float32[V], the query table of an inference-free encoder.
        overwrite: replace what is there.

    Raises:
        CheckpointError: if this kind of encoder cannot be exported, or the graph does not give its weights.
        MissingExtraError: without onnx or onnxruntime.
        InvalidInputError: if the folder is not empty.
    """
    if not isinstance(checkpoint.kind, MaskedLm):
        raise CheckpointError(
            f"{checkpoint.name}: kind {checkpoint.kind.name} cannot be exported to ONNX, only a masked "
            "language model (mlm) can"
        )
    if checkpoint.neighbours is not None:
        raise CheckpointError(
            f"{checkpoint.name}: its neighbours are vectors of this encoder, not of its ONNX form; export "
            "the encoder that it was adapted from, and adapt that"
        )
    if isinstance(checkpoint.query, Checkpoint):
        raise CheckpointError(
            f"{checkpoint.name}: two models, one a side, cannot be exported to ONNX as one folder"
        )
    if checkpoint.settings.activation == "sparsemax":
        raise CheckpointError(f"{checkpoint.name}: activation sparsemax cannot be exported to ONNX")
    with needed("exporting to ONNX"):
        import onnx  # noqa: F401  # torch's exporter asks for it
        import onnxruntime  # noqa: F401
    settings = checkpoint.settings
    tokenizer = TextTokenizer(checkpoint.model_folder, settings.max_length, lowercase=settings.lowercase)
    backbone = load_backbone(checkpoint, "cpu", torch.float32)
    special = tokenizer.special_ids if settings.special_tokens == "zero" else tokenizer.special_ids[:0]
    graph = _Graph(backbone, checkpoint, special).eval()
    if 4 * sum(p.numel() for p in graph.parameters()) > _LARGEST:
        raise CheckpointError(f"{checkpoint.name}: its weights are more than one ONNX file can hold (2 GB)")
    with atomic_folder(folder, overwrite=overwrite, mark=GRAPH) as out:
        _trace(graph, out / GRAPH)
        kind = Onnx(out / GRAPH)
        _compare(checkpoint, kind, graph, tokenizer, backbone.n_terms)
        section = section_of(kind, settings) | {"name": checkpoint.name, "positions": checkpoint.positions}
        if isinstance(checkpoint.query, QueryTable) and table is not None:
            write_table(table, out / QUERY_WEIGHTS)
            section["query_weights"] = QUERY_WEIGHTS
        write_json(out / "config.json", {**hf_config(checkpoint), SECTION: section})
        save_tokenizer(tokenizer, out, like=checkpoint.model_folder)


class _Graph(nn.Module):
    """Token ids and mask to term weights, as `MaskedLm`'s runner makes them, on padded batches."""

    def __init__(self, backbone: Backbone, checkpoint: Checkpoint, special: Ids) -> None:
        super().__init__()
        self.backbone = backbone
        self._settings: EncoderSettings = checkpoint.settings
        head = checkpoint.dense_head
        self.whole = None if head is None else load_dense_head(head)
        keep = torch.ones(backbone.n_terms)
        keep[torch.from_numpy(special.astype(np.int64))] = 0
        self.register_buffer("keep", keep)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        b, settings = self.backbone, self._settings
        hidden = b.hidden(input_ids, attention_mask)
        logits = b.transform(hidden) @ b.decoder_weight.T + b.decoder_bias
        real = attention_mask.unsqueeze(-1)
        if settings.pooling == "max":
            weights = activate_(logits.masked_fill(real == 0, -1e9).amax(1), settings)
        else:
            weights = (activate_(logits, settings) * real).sum(1)
        if self.whole is not None:
            means = (hidden * real).sum(1) / real.sum(1)
            weights = weights + self.whole(F.normalize(self.whole.project(means), dim=-1))
        out: Tensor = weights * self.get_buffer("keep")
        return out


def _trace(graph: _Graph, file: Path) -> None:
    ids = torch.arange(8).reshape(2, 4) % graph.backbone.n_terms
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    axes = {name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about constants; the result is compared below
        torch.onnx.export(
            graph,
            (ids, mask),
            str(file),
            input_names=["input_ids", "attention_mask"],
            output_names=["weights"],
            dynamic_axes={**axes, "weights": {0: "texts"}},
            opset_version=_OPSET,
            dynamo=False,  # the newer exporter needs onnxscript
        )


def _compare(
    checkpoint: Checkpoint, kind: Onnx, graph: _Graph, tokenizer: TextTokenizer, n_terms: int
) -> None:
    """Refuse a graph that gives other weights, in a padded batch too.

    Raises:
        CheckpointError: with the distance.
    """
    runner = kind.runner_on(checkpoint, "cpu", "float32", n_terms, tokenizer.special_ids)
    ids, _ = tokenizer.encode(_TEXTS)
    found = _dense([row for text in ids for row in runner.run([text], None)], n_terms)
    batch = _dense(runner.run(ids, None), n_terms)
    with torch.no_grad():
        wanted = np.stack([_alone(graph, text) for text in ids])
    distance = float(max(np.abs(found - wanted).max(), np.abs(batch - wanted).max()))
    if not distance <= EQUAL:
        raise CheckpointError(
            f"{checkpoint.name}: cannot be exported to ONNX: its graph is off by {distance:.2g} (padding "
            "changes what this architecture computes, or an operation has no equal there)"
        )


def _alone(graph: _Graph, ids: Ids) -> NDArray[np.float32]:
    row = torch.from_numpy(ids.astype(np.int64))[None]
    found: NDArray[np.float32] = graph(row, torch.ones_like(row))[0].numpy()
    return found


def _dense(
    rows: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]], n_terms: int
) -> NDArray[np.float32]:
    out = np.zeros((len(rows), n_terms), np.float32)
    for row, (terms, weights) in zip(out, rows, strict=True):
        row[terms] = weights
    return out
