"""`PlainFolder`: a transformers folder that says nothing of us, as the kinds look at it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.files import max_length_of, positions_of
from splade_engine.encoder.folders.safetensors_file import read_header, weight_files
from splade_engine.encoder.kind import Kind
from splade_engine.encoder.settings import EncoderSettings


@dataclass(frozen=True)
class PlainFolder:
    """A folder with config.json and weights."""

    folder: Path
    # the hub id that was asked for, or the folder's name; for messages
    name: str
    # the hub id that was asked for, None for a folder: it alone may be looked up among published checkpoints
    hub_id: str | None
    config: dict[str, Any]

    @cached_property
    def tensor_names(self) -> list[str]:
        """Names of all tensors, from the headers of the weight files."""
        return [name for path in weight_files(self.folder) for name in read_header(path)]

    @property
    def architectures(self) -> list[str]:
        """Class names that config.json gives; those that are no text are left out."""
        return [a for a in self.config.get("architectures") or [] if isinstance(a, str)]

    @property
    def max_length(self) -> int:
        """Tokens per text, from the sentence-transformers, tokenizer or model config."""
        return max_length_of(self.folder, self.config)

    @property
    def positions(self) -> int | None:
        """The longest input of the model."""
        return positions_of(self.config)

    def checkpoint(
        self,
        kind: Kind,
        *,
        query: QueryTable | Checkpoint | None = None,
        positions: int | None = None,
        **settings: Any,
    ) -> Checkpoint:
        """A checkpoint of this folder; `settings` are those of `EncoderSettings` that are not the default."""
        return Checkpoint(
            folder=self.folder,
            name=self.name,
            kind=kind,
            model_folder=self.folder,
            settings=EncoderSettings(**{"max_length": self.max_length, **settings}),
            positions=self.positions if positions is None else positions,
            query=query,
        )
