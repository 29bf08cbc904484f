"""`MaskedLm`: SPLADE. Every token of a text predicts terms, pooled over the text."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from splade_engine.encoder.checkpoint import Checkpoint, QueryTable
from splade_engine.encoder.folders.files import present, read_json
from splade_engine.encoder.kind import Kind, Module
from splade_engine.encoder.settings import Activation, EncoderSettings
from splade_engine.errors import CheckpointError
from splade_engine.files import write_json

if TYPE_CHECKING:
    from splade_engine.encoder.folders.plain import PlainFolder
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.rows import Row
    from splade_engine.encoder.runner import Runner
    from splade_engine.encoder.tokens import Ids, TextTokenizer

logger = logging.getLogger(__name__)

# sentence-transformers names the activation before the log1p that always follows
_ACTIVATIONS: dict[str, Activation] = {"relu": "log1p_relu", "log1p_relu": "log1p_log1p_relu"}
_BEFORE_LOG1P = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}

# OpenSearch's checkpoints with the second log1p [2504.14839]: no file of theirs says so but the model card
_SECOND_LOG1P = {
    "opensearch-neural-sparse-encoding-doc-v3-distill",
    "opensearch-neural-sparse-encoding-doc-v3-gte",
}
_OPENSEARCH_TABLES = ("idf.json", "query_token_weights.txt")


@dataclass(frozen=True)
class MaskedLm(Kind):
    """A masked language model."""

    name = "mlm"
    takes_dense_head = True
    takes_windows = True
    takes_int8 = True
    st_task = "fill-mask"

    @classmethod
    def recognise(cls, found: PlainFolder) -> Checkpoint | None:
        """A `...ForMaskedLM`.

        Beside a table of idf weights it is one of OpenSearch's inference-free models.
        """
        if not any(a.endswith("ForMaskedLM") for a in found.architectures):
            return None
        table = next((found.folder / t for t in _OPENSEARCH_TABLES if present(found.folder / t)), None)
        if table is None:
            return found.checkpoint(cls())
        return found.checkpoint(
            cls(),
            special_tokens="zero",  # on both sides
            activation="log1p_log1p_relu" if _has_second_log1p(found) else "log1p_relu",
            query=QueryTable(found.folder, table, missing=1.0),
        )

    @classmethod
    def from_modules(cls, base: Checkpoint, modules: Sequence[Module]) -> Checkpoint | None:
        """`SpladePooling` after the transformer."""
        if [m.kind for m in modules] != ["SpladePooling"]:
            return None
        path = modules[0].folder / "config.json"
        config = read_json(path)
        activation = config.get("activation_function", "relu")
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise CheckpointError(f"{path}: activation_function {activation!r:.80} is not known")
        settings = replace(
            base.settings,
            pooling=config.get("pooling_strategy", "max"),
            activation=_ACTIVATIONS[activation],
        )
        return replace(base, kind=cls(), settings=settings)

    def phrase_terms(self) -> tuple[str, ...]:
        """See `Kind`."""
        return ("pairs",)

    def module_names(self) -> list[str]:
        """See `Kind`."""
        return ["SpladePooling"]

    def has_modules(self, settings: EncoderSettings) -> bool:
        """See `Kind`: theirs always end in log1p."""
        return settings.activation in _BEFORE_LOG1P

    def write_modules(self, checkpoint: Checkpoint, folders: Mapping[str, Path]) -> None:
        """See `Kind`."""
        pooling = {
            "pooling_strategy": checkpoint.settings.pooling,
            "activation_function": _BEFORE_LOG1P[checkpoint.settings.activation],
            "embedding_dimension": None,
        }
        write_json(folders["SpladePooling"] / "config.json", pooling)

    def runner(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> Runner:
        """See `Kind`."""
        return _Runner(checkpoint, place, n_terms, special_ids)


def _has_second_log1p(found: PlainFolder) -> bool:
    """Whether this is a published doc-v3 model, by its exact name.

    The name is the hub id that was asked for, `_name_or_path` in config.json, or the title of the model card.
    The name of a folder decides nothing.
    """
    said = {"the hub id": found.hub_id, "_name_or_path in config.json": found.config.get("_name_or_path")}
    readme = found.folder / "README.md"
    if present(readme):
        with readme.open(encoding="utf-8", errors="replace") as file:
            title = re.search(r"^# (.+)$", file.read(1 << 16), re.MULTILINE)
        said["the title of its README.md"] = title.group(1) if title else None
    for where, name in said.items():
        if isinstance(name, str) and name.strip().rpartition("/")[2] in _SECOND_LOG1P:
            logger.info("%s: %s is %s: log1p is applied twice", found.name, where, name.strip())
            return True
    logger.info(
        "%s: an OpenSearch model by its %s, log1p is applied once; if it was trained with two, say so in "
        'config.json: "splade_engine": {"activation": "log1p_log1p_relu", ...}',
        found.name,
        " or ".join(_OPENSEARCH_TABLES),
    )
    return False


class _Runner:
    """A masked language model at work; with a dense head the text as a whole predicts terms too.

    On the processor, `fast/` computes states and pooling where architecture and settings allow it; anything
    else, and every GPU, runs transformers' model on length-sorted padded batches.
    """

    def __init__(self, checkpoint: Checkpoint, place: Place, n_terms: int, special_ids: Ids) -> None:
        from splade_engine.encoder.fast.states import load_states
        from splade_engine.encoder.fast.vocabulary import load_pooling, load_whole_text
        from splade_engine.encoder.place import threads

        self.workers = threads(place)
        self._states = load_states(checkpoint, place)
        if len(self._states.decoder_weight) != n_terms:
            raise CheckpointError(
                f"{checkpoint.model_folder}: config.json says {n_terms} terms, the decoder has "
                f"{len(self._states.decoder_weight)}"
            )
        zero = special_ids if checkpoint.settings.special_tokens == "zero" else special_ids[:0]
        self._whole = load_whole_text(checkpoint, self._states, place, zero)
        self._pooling = load_pooling(checkpoint.settings, self._states, place, zero)

    def prepare(self, tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[list[Ids], int]:
        """Token ids with [CLS] and [SEP]."""
        return tokenizer.encode(texts)

    def run(self, batch: Sequence[Ids], top_k: int | None) -> list[Row]:
        """See `Runner`."""
        import torch

        lengths = [len(ids) for ids in batch]
        with torch.inference_mode():
            hidden, states = self._states(batch)
            whole = None if self._whole is None else self._whole(hidden, lengths)
            return self._pooling(states, lengths, whole, top_k)
