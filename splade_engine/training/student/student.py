"""`Student`: what a run asks of the encoder that it trains."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import InvalidInputError
from splade_engine.training.objective.vectors import Vectors
from splade_engine.training.recipe.sections import ModelConfig


class Student(nn.Module):
    """An encoder in training. Trainer, probe, mining and teachers know students by this only.

    An abstract module and no `typing.Protocol`: the Trainer needs a module's own methods too.
    """

    # float[V] query weights of an inference-free student, learned or fixed; None where queries are encoded.
    table: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("table", None)

    @property
    @abstractmethod
    def settings(self) -> ModelConfig:
        """The recipe's model section."""

    @property
    @abstractmethod
    def n_terms(self) -> int:
        """Dimensions V of its vectors."""

    @property
    def inference_free(self) -> bool:
        """Whether queries are looked up in `table`."""
        return self.table is not None

    @abstractmethod
    def query_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[N, V] of int64[N, L] token ids; `mask` marks tokens, `pool` the positions that count."""

    @abstractmethod
    def document_vectors(self, ids: Tensor, mask: Tensor, pool: Tensor) -> Tensor:
        """float[M, V], as `query_vectors`."""

    @abstractmethod
    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        query_pool: Tensor,
        document_ids: Tensor,
        document_mask: Tensor,
        document_pool: Tensor,
        slots: Tensor,
        same: Tensor,
        group: int,
        targets: Tensor | None = None,
    ) -> Vectors:
        """The vectors of a batch as `Collator` makes it."""

    @abstractmethod
    def write(self, folder: Path, documents: TextTokenizer, queries: TextTokenizer) -> None:
        """Write weights, tokenizers and settings as a model folder; `saving.save_student` makes it atomic.

        Args:
            folder: empty.
            documents: the tokenizer of documents.
            queries: that of queries, which may be the same.

        Raises:
            OSError: if the disk refuses.
        """

    def average_copy(self) -> Student:
        """A frozen copy in evaluation mode, to become the moving average of self-distillation.

        Raises:
            InvalidInputError: if this kind has none.
        """
        raise InvalidInputError(f"loss.self_weight: a {self.settings.kind} student has no moving average")


def batch_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """The entries of a batch that `Student.forward` takes."""
    sides = [f"{side}_{part}" for side in ("query", "document") for part in ("ids", "mask", "pool")]
    wanted = (*sides, "slots", "same", "group", "targets")
    return {name: batch[name] for name in wanted if name in batch}
