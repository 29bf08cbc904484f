"""`Kind`: what the house has to know of one kind of checkpoint, and what recognises it.

A kind is a frozen value that carries its own parameters (which files, which template). A new one is a file in
`kinds/` and a row in its table; nothing else asks which kind a checkpoint is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.forks import claim_process
from splade_engine.encoder.settings import EncoderSettings, is_integer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.extras import needed

if TYPE_CHECKING:
    from splade_engine.encoder.checkpoint import Checkpoint
    from splade_engine.encoder.folders.plain import PlainFolder
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids

MOST_TERMS = 1 << 24
"""Sixteen million terms: more than any vocabulary; a larger number is damage."""


@dataclass(frozen=True)
class Module:
    """One module of a sentence-transformers chain: its class name, and the folder that holds its settings."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class Kind:
    """The base of all kinds; its fields that are paths are hashed as files, all others as settings."""

    name: ClassVar[str]
    # the transformers class whose folder this is
    auto_model: ClassVar[str] = "AutoModelForMaskedLM"
    # whether a second head may stand beside it, and whether long texts may be encoded in windows
    takes_dense_head: ClassVar[bool] = False
    takes_windows: ClassVar[bool] = False
    # whether its model may have int8 layers
    takes_int8: ClassVar[bool] = False
    # whether its weights are in model*.safetensors
    in_safetensors: ClassVar[bool] = True
    # the task of its Transformer module in sentence-transformers, None where that has no modules for it
    st_task: ClassVar[str | None] = None

    @classmethod
    def recognise(cls, found: PlainFolder) -> Checkpoint | None:
        """The checkpoint of a transformers folder that says nothing of us, None if it is of another kind."""

    @classmethod
    def from_modules(cls, base: Checkpoint, modules: Sequence[Module]) -> Checkpoint | None:
        """The checkpoint of a sentence-transformers chain, None if it is of another kind.

        `base` describes the transformer, `modules` are those after it.
        """

    @classmethod
    def from_section(cls, folder: Path, section: dict[str, Any]) -> Self:
        """The kind of a folder of ours; takes its own entries out of the section of config.json.

        Raises:
            CheckpointError: if an entry is missing or wrong.
        """
        return cls()

    def to_section(self) -> dict[str, Any]:
        """The entries that `from_section` reads."""
        return {}

    def with_queries(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint of a folder of ours, with a query side where its section says that there is one."""
        return checkpoint

    def n_terms(self, model_folder: Path) -> int:
        """Size of the output, from the configs alone.

        Raises:
            CheckpointError: if they do not say.
        """
        return size_of(model_folder / "config.json", "vocab_size")

    def positions(self, found: int | None) -> int | None:
        """Tokens of a text that a model of `found` positions can take; None: no limit."""
        return found

    def phrase_terms(self) -> tuple[str, ...]:
        """What may follow its terms, of `EncoderSettings.phrase_terms`: nothing where they are no tokens."""
        return ()

    def term_names(self, n_terms: int) -> list[str] | None:
        """The name of every term where terms are no tokens, else None."""

    def runner_on(
        self, checkpoint: Checkpoint, device: str, dtype: str, n_terms: int, special_ids: Ids
    ) -> Runner:
        """`runner`, on the device and in the precision that the caller named; `auto` is possible.

        Raises:
            CheckpointError: if the model cannot be built, or does not fit the checkpoint.
            InvalidInputError: for a device that is not there, or int8 where the model has no such layers.
            SpladeEngineError: as `claim_process`.
        """
        with needed("encoding with a model"):
            from splade_engine.encoder.place import choose_place

        claim_process()
        place = choose_place(device, dtype)
        if place.int8 and not self.takes_int8:
            raise InvalidInputError(f"dtype 'int8': encoders of the kind {self.name!r} have no int8 layers")
        return self.runner(checkpoint, place, n_terms, special_ids)

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """The model of a checkpoint of this kind; this is where torch is imported.

        Raises:
            CheckpointError: if it cannot be built, or does not fit the checkpoint.
        """
        raise NotImplementedError

    def has_modules(self, settings: EncoderSettings) -> bool:
        """Whether sentence-transformers has modules that make what these settings make."""
        return self.st_task is not None

    def write_modules(self, checkpoint: Checkpoint, folders: Mapping[str, Path]) -> None:
        """Write the settings of the sentence-transformers modules that `module_names` lists."""

    def module_names(self) -> list[str]:
        """Class names of the sentence-transformers modules that follow the transformer."""
        return []

    def write_files(self, checkpoint: Checkpoint, out: Path) -> None:
        """Write the weights of the model folder, and the files of this kind beside them."""
        from splade_engine.encoder.folders.ours import copy_weights

        copy_weights(checkpoint, out)


def size_of(path: Path, key: str) -> int:
    """A size that a config names.

    Raises:
        CheckpointError: if it is no number of terms.
    """
    value = read_json(path).get(key)
    if not is_integer(value) or not 0 < value <= MOST_TERMS:
        raise CheckpointError(f"{path}: {key} is {value!r:.80}, expected 1 to {MOST_TERMS:,}")
    return int(value)
