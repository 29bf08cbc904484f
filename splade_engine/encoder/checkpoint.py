"""`Checkpoint`: what a model folder holds and how its vectors are made. Torch-free.

`folders/` reads one from any layout; its kind (`kinds/`) says which model runs, its settings
(`settings.py`) how the vectors come out, its query side where queries come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splade_engine.encoder.kind import Kind
from splade_engine.encoder.neighbours import NeighbourFiles
from splade_engine.encoder.settings import SETTING_NAMES, EncoderSettings
from splade_engine.errors import CheckpointError

DENSE_HEAD = "dense_head.safetensors"
"""The file of a second head in folders of ours."""


@dataclass(frozen=True)
class QueryTable:
    """The inference-free query side: a tokenizer and one weight per vocabulary entry."""

    # where the tokenizer is
    folder: Path
    # *.safetensors with one float tensor of shape (V,), or {token: weight} in JSON, or lines of token, tab,
    # weight; None: every token counts 1
    weights: Path | None
    # weight of tokens that a JSON table does not name (1.0 in OpenSearch's code, 0.0 in
    # sentence-transformers)
    missing: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that `SparseEncoder` can run."""

    # the root that was given
    folder: Path
    # the hub id or the folder's name; decides nothing
    name: str
    # the model and how it is run, with what this kind needs to know
    kind: Kind
    # config.json, weights and tokenizer of the document side
    model_folder: Path
    settings: EncoderSettings = field(default_factory=EncoderSettings)
    # the longest input that the model can take, None where it has no limit
    positions: int | None = None
    # a `QueryTable` (inference-free), another checkpoint, or None (queries like documents)
    query: QueryTable | Checkpoint | None = None
    # weights in the compact format of `folders/compact.py`
    quantized: bool = False
    # the compact folder that lends the tensors which this one lacks, but for those of layers
    base: Path | None = None
    # file of the document side's second head, see `fast/dense_head.py`
    dense_head: Path | None = None
    # documents of a collection that lend their terms, where the encoder was adapted to one
    neighbours: NeighbourFiles | None = None

    def __post_init__(self) -> None:
        possible = ("none", *self.kind.phrase_terms())
        if self.settings.phrase_terms not in possible:
            can = " or ".join(possible)
            raise CheckpointError(
                f"{self.folder}: phrase_terms = {self.settings.phrase_terms} with an encoder of kind "
                f"{self.kind.name}: {can}"
            )
        if self.dense_head is not None and not self.kind.takes_dense_head:
            raise CheckpointError(f"{self.folder}: a dense head beside a masked-LM head only")
        if self.settings.long_texts == "windows" and not self.kind.takes_windows:
            raise CheckpointError(
                f"{self.folder}: long_texts = windows needs a masked LM pooled by max, not {self.kind.name}"
            )

    def __getattr__(self, name: str) -> Any:
        """Settings can be read from here too: `checkpoint.activation`."""
        if name in SETTING_NAMES:
            return getattr(self.settings, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def n_terms(self) -> int:
        """Size of the output, from the configs alone.

        Raises:
            CheckpointError: if they do not say.
        """
        return self.kind.n_terms(self.model_folder)
