"""Writing an encoder as a sentence-transformers folder (the layout that version 6.2 writes).

    one side        Transformer (fill-mask) in the root, 1_SpladePooling
    table or pair   Router: query_0_SparseStaticEmbedding | query_0_Transformer, and document_0_Transformer
    csr             Transformer in the root, 1_Pooling, [2_Normalize], n_SparseAutoEncoder

sentence-transformers has no policy for special tokens: where ours drops them, the saved decoder's bias for
them is -10,000, which does the same there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.checkpoint import DENSE_HEAD, Checkpoint, QueryTable
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.new_folder import new_folder, write_json
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError

_ST = "sentence_transformers."
_TRANSFORMER = _ST + "base.modules.transformer.Transformer"
_ROUTER = _ST + "base.modules.router.Router"
_SPLADE = _ST + "sparse_encoder.modules.splade_pooling.SpladePooling"
_STATIC = _ST + "sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding"
_AUTOENCODER = _ST + "sparse_encoder.modules.sparse_auto_encoder.SparseAutoEncoder"
_POOLING = _ST + "sentence_transformer.modules.pooling.Pooling"
_NORMALIZE = _ST + "base.modules.normalize.Normalize"

_ACTIVATIONS = {"log1p_relu": "relu", "log1p_log1p_relu": "log1p_relu"}
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


def save_encoder(
    checkpoint: Checkpoint, folder: str | Path, *, max_length: int, table: NDArray[np.float32] | None
) -> None:
    """Write `checkpoint` to `folder`, atomically.

    Args:
        checkpoint: what is loaded.
        folder: must not exist, or be empty.
        max_length: the limit in force, which may differ from the checkpoint's own.
        table: float32[V], the query table of an inference-free encoder.

    Raises:
        InvalidInputError: if the folder is not empty.
        CheckpointError: if special tokens cannot be dropped in this architecture's head.
    """
    with new_folder(folder) as out:
        if checkpoint.kind in ("echo", "scalar"):
            _copy_model(checkpoint, out, max_length)
            return
        if checkpoint.query is None:
            modules = _tower(checkpoint, out, max_length, ["", "1_", "2_", "3_"])
            types = [(path, kind) for path, kind in modules]
        else:
            _router(checkpoint, out, max_length, table)
            types = [("", _ROUTER)]
        write_json(
            out / "modules.json",
            [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(types)],
        )
        prompts = {"query": checkpoint.query_prompt, "document": checkpoint.document_prompt}
        root: dict[str, Any] = {
            "model_type": "SparseEncoder",
            "prompts": prompts,
            "default_prompt_name": None,
        }
        if checkpoint.top_k is not None:
            root["max_active_dims"] = checkpoint.top_k
        if own := _own_settings(checkpoint):
            root["splade_engine"] = own
        if checkpoint.dense_head is not None:
            _save_dense_head(checkpoint, checkpoint.dense_head, out)
        write_json(out / "config_sentence_transformers.json", {**root, "similarity_fn_name": "dot"})
        (out / "README.md").write_text(_card(checkpoint, max_length), encoding="utf-8")


def _own_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """What sentence-transformers has no setting for, where it is not the default."""
    own: dict[str, Any] = {}
    if checkpoint.min_weight:
        own["min_weight"] = checkpoint.min_weight
    if checkpoint.dense_head is not None:
        own["dense_head"] = DENSE_HEAD
    if checkpoint.long_texts != "cut":
        own["long_texts"] = checkpoint.long_texts
    if isinstance(checkpoint.query, QueryTable):
        if checkpoint.query.counts:
            own["query_counts"] = True
        if checkpoint.query.top_k is not None:
            own["query_top_k"] = checkpoint.query.top_k
    return own


def _save_dense_head(checkpoint: Checkpoint, file: Path, out: Path) -> None:
    """The second head, special tokens switched off where they are to be zero."""
    from splade_engine.encoder.fast.dense_head import load_dense_head, save_dense_head

    head = load_dense_head(file)
    if checkpoint.special_tokens == "zero":
        special = TextTokenizer(checkpoint.model_folder, 3).special_ids.tolist()
        head.decoder.weight[special] = 0
        head.decoder.bias[special] = 0
    save_dense_head(head, out / DENSE_HEAD, compact=checkpoint.quantized)


def _router(checkpoint: Checkpoint, out: Path, max_length: int, table: NDArray[np.float32] | None) -> None:
    query = checkpoint.query
    if isinstance(query, QueryTable):
        assert table is not None
        name = "query_0_SparseStaticEmbedding"
        (out / name).mkdir()
        tokenizer = _save_tokenizer(query.folder, out / name, max_length, checkpoint.lowercase)
        _save_table(table[: tokenizer.size], out / name)
        queries = [(name, _STATIC)]
    else:
        assert query is not None
        queries = _tower(query, out, min(max_length, query.max_length), [f"query_{i}_" for i in range(4)])
    documents = _tower(checkpoint, out, max_length, [f"document_{i}_" for i in range(4)])
    write_json(
        out / "router_config.json",
        {
            "types": dict(queries + documents),
            "structure": {"query": [p for p, _ in queries], "document": [p for p, _ in documents]},
            "parameters": {"default_route": "document", "allow_empty_key": True, "route_mappings": {}},
        },
    )


def _tower(checkpoint: Checkpoint, out: Path, max_length: int, prefixes: list[str]) -> list[tuple[str, str]]:
    """Write one side's modules; (folder, type) of each."""
    names = ["Transformer", "SpladePooling"]
    kinds = {"Transformer": _TRANSFORMER, "SpladePooling": _SPLADE, "Pooling": _POOLING,
             "Normalize": _NORMALIZE, "SparseAutoEncoder": _AUTOENCODER}  # fmt: skip
    if checkpoint.kind == "csr":
        normalize = ["Normalize"] if checkpoint.dense and checkpoint.dense.normalize else []
        names = ["Transformer", "Pooling", *normalize, "SparseAutoEncoder"]
    paths = [prefix + name if prefix else "" for prefix, name in zip(prefixes, names, strict=False)]
    for path in paths:
        (out / path).mkdir(exist_ok=True)
    _copy_model(checkpoint, out / paths[0], max_length)
    fill_mask = checkpoint.kind == "mlm"
    output = "logits" if fill_mask else "last_hidden_state"
    write_json(
        out / paths[0] / "sentence_bert_config.json",
        {
            "transformer_task": "fill-mask" if fill_mask else "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": output}},
            "module_output_name": "token_embeddings",
            **({"do_lower_case": True} if checkpoint.lowercase else {}),
        },
    )
    if checkpoint.kind == "csr":
        _save_csr(checkpoint, {name: out / path for name, path in zip(names, paths, strict=True)})
    else:
        write_json(
            out / paths[1] / "config.json",
            {
                "pooling_strategy": checkpoint.pooling,
                "activation_function": _ACTIVATIONS[checkpoint.activation],
                "embedding_dimension": None,
            },
        )
    return [(path, kinds[name]) for path, name in zip(paths, names, strict=True)]


def _save_csr(checkpoint: Checkpoint, folders: dict[str, Path]) -> None:
    assert checkpoint.autoencoder is not None and checkpoint.dense is not None
    size = read_json(checkpoint.autoencoder / "config.json")["input_dim"]
    write_json(
        folders["Pooling"] / "config.json",
        {"embedding_dimension": size, "pooling_mode": checkpoint.dense.mode, "include_prompt": True},
    )
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(checkpoint.autoencoder / file, folders["SparseAutoEncoder"] / file)


def _copy_model(checkpoint: Checkpoint, out: Path, max_length: int) -> None:
    """config.json, weights and tokenizer of one tower as transformers reads them."""
    config = read_json(checkpoint.model_folder / "config.json")
    if checkpoint.kind in ("mlm", "csr"):
        config.pop("splade_engine", None)
    write_json(out / "config.json", config)
    tokenizer = _save_tokenizer(checkpoint.model_folder, out, max_length, lowercase=False)
    zero = checkpoint.kind == "mlm" and checkpoint.special_tokens == "zero"
    if not checkpoint.quantized and not zero:
        for file in sorted(checkpoint.model_folder.glob("model*.safetensors*")):
            shutil.copyfile(file, out / file.name)
        return
    _save_state(checkpoint, out, tokenizer.special_ids if zero else None)


def _save_state(checkpoint: Checkpoint, out: Path, never: NDArray[np.int32] | None) -> None:
    """Weights that differ from the source's: widened from int8, or with special tokens switched off."""
    from safetensors.torch import save_file

    from splade_engine.encoder.fast.packed import read_tensors
    from splade_engine.encoder.folders.compact import read_state

    folder = checkpoint.model_folder
    state = read_state(folder) if checkpoint.quantized else read_tensors(folder)
    if never is not None:
        biases = [name for name in _DECODER_BIASES if name in state]
        if not biases:
            raise CheckpointError(
                f"{folder}: the head has no bias, so special tokens cannot be switched off in this layout"
            )
        for name in biases:
            state[name] = state[name].clone()
            state[name][never.tolist()] = _NEVER
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, out / "model.safetensors", metadata={"format": "pt"})


def _save_tokenizer(source: Path, out: Path, max_length: int, lowercase: bool) -> TextTokenizer:
    """tokenizer.json and a tokenizer_config.json that names the limit and the special tokens."""
    tokenizer = TextTokenizer(source, max_length, lowercase=lowercase)
    tokenizer.save(out / "tokenizer.json")
    config = read_json(source / "tokenizer_config.json", optional=True)
    if not config:
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        roles = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
        config |= {f"{r}_token": t for r, t in roles.items() if tokenizer.token_id(t) is not None}
    for name in ("name_or_path", "special_tokens_map_file", "tokenizer_file", "is_local", "local_files_only"):
        config.pop(name, None)
    write_json(out / "tokenizer_config.json", {**config, "model_max_length": max_length})
    return tokenizer


def _save_table(table: NDArray[np.float32], out: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.ascontiguousarray(table)}, out / "model.safetensors", metadata={"format": "pt"})
    write_json(out / "config.json", {"frozen": True})


def _card(checkpoint: Checkpoint, max_length: int) -> str:
    """The source's own model card, or a short one."""
    source = checkpoint.folder / "README.md"
    if source.is_file():
        return source.read_text(encoding="utf-8", errors="replace")
    return (
        "---\nlibrary_name: sentence-transformers\ntags:\n- sentence-transformers\n- sparse-encoder\n---\n\n"
        f"# {checkpoint.name}\n\nA learned sparse encoder saved by splade-engine: {checkpoint.kind}, "
        f"{checkpoint.pooling} pooling, {checkpoint.activation}, {max_length} tokens.\n"
    )
