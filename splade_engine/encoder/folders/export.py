"""Writing an encoder as a sentence-transformers folder (the layout that version 6.2 writes).

    one side        Transformer in the root, the modules of the kind in 1_..., 2_...
    table or pair   Router: query_0_SparseStaticEmbedding | query_0_Transformer, and document_0_Transformer

sentence-transformers has no policy for special tokens: where ours drops them, the saved decoder's bias for
them is -10,000, which does the same there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import DENSE_HEAD, Checkpoint, QueryTable
from splade_engine.encoder.fingerprint import checkpoint_hash
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.ours import SECTION, copy_weights, write_copy, write_table
from splade_engine.encoder.folders.reading import read_checkpoint
from splade_engine.encoder.folders.sentence_transformers import OURS_ALONE
from splade_engine.encoder.folders.tokenizer import save_tokenizer
from splade_engine.encoder.neighbours import copy_neighbours
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.encoder.tokens import Ids, TextTokenizer
from splade_engine.errors import CheckpointError
from splade_engine.files import atomic_folder, write_json

if TYPE_CHECKING:
    from splade_engine.encoder.kind import Kind

logger = logging.getLogger(__name__)

CLASSES = {
    "Transformer": "base.modules.transformer",
    "Router": "base.modules.router",
    "Normalize": "base.modules.normalize",
    "Pooling": "sentence_transformer.modules.pooling",
    "SpladePooling": "sparse_encoder.modules.splade_pooling",
    "SparseStaticEmbedding": "sparse_encoder.modules.sparse_static_embedding",
    "SparseAutoEncoder": "sparse_encoder.modules.sparse_auto_encoder",
}
"""Where sentence-transformers keeps the class of a module."""

_DECODER_BIASES = (
    "cls.predictions.bias",
    "cls.predictions.decoder.bias",
    "lm_head.bias",
    "lm_head.decoder.bias",
    "vocab_projector.bias",
    "generator_lm_head.bias",
    "predictions.bias",
    "predictions.decoder.bias",
    "decoder.bias",
)
_NEVER = -10_000.0
_LARGEST_CARD = 1 << 22  # bytes of a README.md that is taken over


@dataclass(frozen=True)
class Side:
    """What one tower of a folder is made of."""

    kind: Kind
    settings: EncoderSettings
    # writes config.json, weights and tokenizer of the transformer
    transformer: Callable[[Path], None]
    # writes the settings of the modules after it, by class name
    modules: Callable[[dict[str, Path]], None]
    # tokens per query, where this is the tower of queries too and they have a limit of their own
    query_length: int | None = None

    def write(self, out: Path, prefixes: Sequence[str]) -> list[tuple[str, str]]:
        """Write the modules below `out`; (folder, class name) of each.

        `prefixes` come before their names; the first may be empty, which puts the transformer into `out`
        itself.
        """
        names = ["Transformer", *self.kind.module_names()]
        paths = [prefix + name if prefix else "" for prefix, name in zip(prefixes, names, strict=False)]
        for path in paths:
            (out / path).mkdir(exist_ok=True)
        self.transformer(out / paths[0])
        task = self.kind.st_task
        output = "logits" if task == "fill-mask" else "last_hidden_state"
        write_json(
            out / paths[0] / "sentence_bert_config.json",
            {
                "transformer_task": task,
                "modality_config": {"text": {"method": "forward", "method_output_name": output}},
                "module_output_name": "token_embeddings",
                **({"do_lower_case": True} if self.settings.lowercase else {}),
                **({} if self.query_length is None else {"query_length": self.query_length}),
            },
        )
        self.modules({name: out / path for name, path in zip(names[1:], paths[1:], strict=True)})
        return list(zip(paths, names, strict=True))


def save_encoder(checkpoint: Checkpoint, folder: str | Path, *, table: NDArray[np.float32] | None) -> None:
    """Write `checkpoint` to `folder`, atomically.

    Args:
        checkpoint: what is loaded.
        folder: must not exist, or be empty.
        table: float32[V], the query table of an inference-free encoder.

    Raises:
        InvalidInputError: if the folder is not empty.
        CheckpointError: if special tokens cannot be dropped in this architecture's head.
    """
    with atomic_folder(folder) as out:
        if checkpoint.kind.has_modules(checkpoint.settings):
            _write_modules(checkpoint, out, table)
        else:
            _write_copies(checkpoint, out)
        if checkpoint.neighbours is not None:
            saved = replace(read_checkpoint(out), neighbours=None)
            copy_neighbours(checkpoint.neighbours, out, checkpoint_hash(saved))


def _write_modules(checkpoint: Checkpoint, out: Path, table: NDArray[np.float32] | None) -> None:
    """The folder of a kind that sentence-transformers has modules for."""
    if checkpoint.query is None:
        modules = _side(checkpoint).write(out, _numbered(""))
    else:
        _write_router(checkpoint, out, table)
        modules = [("", "Router")]
    own = checkpoint.settings.to_section(OURS_ALONE)
    if not isinstance(checkpoint.query, QueryTable):
        own.pop("query_counts", None)
    if isinstance(checkpoint.query, Checkpoint):  # whose folder has no place for it
        documents, queries = checkpoint.settings.top_k, checkpoint.query.settings.kept_of_queries
        own.pop("query_top_k", None)
        if queries != documents:
            own["query_top_k"] = queries or checkpoint.n_terms + checkpoint.settings.extra_terms
    if checkpoint.dense_head is not None:
        _save_dense_head(checkpoint, checkpoint.dense_head, out)
        own["dense_head"] = DENSE_HEAD
    if own:
        logger.warning(
            "%s: sentence-transformers has no place for %s and gives other vectors of this folder; "
            "SparseEncoder.load reads them again",
            checkpoint.name,
            ", ".join(sorted(own)),
        )
    write_root(out, modules, checkpoint.settings, own)
    (out / "README.md").write_text(_card(checkpoint), encoding="utf-8")


def _write_copies(checkpoint: Checkpoint, out: Path) -> None:
    """The folder that a checkpoint is, or the two folders of a model for each side."""
    query = checkpoint.query
    if not isinstance(query, Checkpoint) or query.model_folder == checkpoint.model_folder:
        write_copy(checkpoint, out)
        return
    for name, side in (("document", replace(checkpoint, query=None)), ("query", query)):
        (out / name).mkdir()
        write_copy(side, out / name)


def write_root(
    out: Path,
    modules: Sequence[tuple[str, str]],
    settings: EncoderSettings,
    own: dict[str, Any] | None = None,
) -> None:
    """Write modules.json and config_sentence_transformers.json of (folder, class name) pairs.

    `own` is our section.
    """
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": class_path(name)}
        for i, (path, name) in enumerate(modules)
    ]
    write_json(out / "modules.json", rows)
    root: dict[str, Any] = {
        "model_type": "SparseEncoder",
        "prompts": {"query": settings.query_prompt, "document": settings.document_prompt},
        "default_prompt_name": None,
    }
    if settings.top_k is not None:
        root["max_active_dims"] = settings.top_k
    if own:
        root[SECTION] = own
    write_json(out / "config_sentence_transformers.json", {**root, "similarity_fn_name": "dot"})


def class_path(name: str) -> str:
    """The full name of a module's class in sentence-transformers."""
    return f"sentence_transformers.{CLASSES[name]}.{name}"


def _numbered(side: str) -> list[str]:
    """The names of module folders: `query_0_`, `query_1_`, ...

    Of a chain without sides nothing for the transformer, then `1_`, `2_`, ...
    """
    return [f"{side}_{i}_" if side else f"{i}_" if i else "" for i in range(4)]


def _side(checkpoint: Checkpoint) -> Side:
    return Side(
        checkpoint.kind,
        checkpoint.settings,
        lambda out: _copy_model(checkpoint, out),
        lambda folders: checkpoint.kind.write_modules(checkpoint, folders),
        checkpoint.settings.query_max_length if checkpoint.query is None else None,
    )


def _write_router(checkpoint: Checkpoint, out: Path, table: NDArray[np.float32] | None) -> None:
    query = checkpoint.query
    if isinstance(query, Checkpoint):
        queries = _side(query).write(out, _numbered("query"))
    elif query is not None and table is not None:
        name = "query_0_SparseStaticEmbedding"
        (out / name).mkdir()
        settings = checkpoint.settings
        tokenizer = TextTokenizer(query.folder, settings.length_of_queries, lowercase=settings.lowercase)
        save_tokenizer(tokenizer, out / name, like=query.folder)
        write_table(table[: tokenizer.size], out / name / "model.safetensors")
        write_json(out / name / "config.json", {"frozen": True})
        queries = [(name, "SparseStaticEmbedding")]
    else:
        raise CheckpointError(f"{checkpoint.folder}: an inference-free encoder without its table")
    documents = _side(checkpoint).write(out, _numbered("document"))
    write_json(
        out / "router_config.json",
        {
            "types": {path: class_path(name) for path, name in queries + documents},
            "structure": {"query": [p for p, _ in queries], "document": [p for p, _ in documents]},
            "parameters": {"default_route": "document", "allow_empty_key": True, "route_mappings": {}},
        },
    )


def _save_dense_head(checkpoint: Checkpoint, file: Path, out: Path) -> None:
    """The second head, special tokens switched off where they are to be zero."""
    from splade_engine.encoder.fast.dense_head import load_dense_head, save_dense_head

    head = load_dense_head(file)
    if checkpoint.settings.special_tokens == "zero":
        special = TextTokenizer(checkpoint.model_folder, 3).special_ids.tolist()
        head.decoder.weight[special] = 0
        head.decoder.bias[special] = 0
    save_dense_head(head, out / DENSE_HEAD, compact=checkpoint.quantized)


def _copy_model(checkpoint: Checkpoint, out: Path) -> None:
    """config.json, weights and tokenizer of one tower as transformers reads them."""
    config = read_json(checkpoint.model_folder / "config.json")
    config.pop(SECTION, None)
    write_json(out / "config.json", config)
    tokenizer = TextTokenizer(checkpoint.model_folder, checkpoint.settings.max_length)
    save_tokenizer(tokenizer, out, like=checkpoint.model_folder)
    masked = checkpoint.kind.st_task == "fill-mask"
    zero = masked and checkpoint.settings.special_tokens == "zero"
    untied = masked and config.get("tie_word_embeddings") is False
    if checkpoint.quantized or zero or untied:
        _save_state(checkpoint, out, tokenizer.special_ids if zero else None)
    else:
        copy_weights(checkpoint, out)


def _save_state(checkpoint: Checkpoint, out: Path, never: Ids | None) -> None:
    """Weights that may differ from the source's.

    They are widened from int8, special tokens are switched off, and a decoder of its own gets the bias that
    release 4 of transformers leaves to the head, because release 5 would begin with zeros.
    """
    from safetensors.torch import save_file

    from splade_engine.encoder.folders.weights import bias_of_head, read_weights

    state = read_weights(checkpoint)
    for name in [name for name in state if name.endswith(".decoder.weight")]:
        bias = name.removesuffix("weight") + "bias"
        head = bias_of_head(bias)
        if head is not None and head in state:
            state.setdefault(bias, state[head].clone())
    if never is not None:
        biases = [name for name in _DECODER_BIASES if name in state]
        if not biases:
            raise CheckpointError(
                f"{checkpoint.model_folder}: the head has no bias, so special tokens cannot be switched off "
                "in this layout"
            )
        for name in biases:
            state[name] = state[name].clone()
            state[name][never.tolist()] = _NEVER
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, out / "model.safetensors", metadata={"format": "pt"})


def _card(checkpoint: Checkpoint) -> str:
    """The source's own model card, or a short one."""
    source = checkpoint.folder / "README.md"
    if source.is_file() and source.stat().st_size <= _LARGEST_CARD:
        return source.read_text(encoding="utf-8", errors="replace")
    settings = checkpoint.settings
    return (
        "---\nlibrary_name: sentence-transformers\ntags:\n- sentence-transformers\n- sparse-encoder\n---\n\n"
        f"# {checkpoint.name}\n\nA learned sparse encoder saved by splade-engine: {checkpoint.kind.name}, "
        f"{settings.pooling} pooling, {settings.activation}, {settings.max_length} tokens.\n"
    )
