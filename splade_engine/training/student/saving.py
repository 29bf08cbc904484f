"""Writing a trained student as a model folder that `SparseEncoder.load` reads."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from splade_engine.encoder.checkpoint import DENSE_HEAD
from splade_engine.encoder.fast.dense_head import save_dense_head
from splade_engine.encoder.folders.files import read_json
from splade_engine.encoder.folders.new_folder import new_folder, write_json
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.training.student.csr import CsrStudent
from splade_engine.training.student.lora import merge_lora
from splade_engine.training.student.sparse import SparseStudent, Tower
from splade_engine.training.student.student import Student

QUERY_WEIGHTS = "query_weights.safetensors"

# what transformers needs to be told about a bare tokenizer.json (BERT's names, then RoBERTa's)
_SPECIAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def save_student(
    student: Student,
    folder: str | Path,
    documents: TextTokenizer,
    queries: TextTokenizer,
    *,
    overwrite: bool = False,
) -> None:
    """Write weights, tokenizer and settings, atomically; low-rank updates are merged.

    One encoder is a transformers folder with a `splade_engine` section in config.json and, inference-free, a
    `query_weights.safetensors`; two encoders are the folders `document/` and `query/`.

    Raises:
        InvalidInputError: if the folder is not empty (without `overwrite`).
        StorageError: if the disk refuses.
    """
    from transformers.utils import logging

    hf_logging: Any = logging
    hf_logging.disable_progress_bar()  # one shard needs no bar
    if isinstance(student, CsrStudent):
        _save_csr(student, Path(folder), documents, overwrite)
        return
    assert isinstance(student, SparseStudent)
    with new_folder(folder, overwrite=overwrite) as out:
        if student.queries is not None:
            for name, tower, tokenizer in (
                ("document", student.documents, documents),
                ("query", student.queries, queries),
            ):
                (out / name).mkdir()
                _save_tower(tower, out / name, tokenizer)
            return
        extra = {}
        if student.table is not None:
            from safetensors.torch import save_file

            table = student.table.detach().float().clamp(min=0).cpu() * student.documents.kept.cpu()
            save_file({"weight": table.cpu().contiguous()}, out / QUERY_WEIGHTS)
            extra["query_weights"] = QUERY_WEIGHTS
        _save_tower(student.documents, out, documents, extra)


def _save_tower(
    tower: Tower, folder: Path, tokenizer: TextTokenizer, extra: dict[str, Any] | None = None
) -> None:
    model = tower.backbone.model
    if tower.config.lora_rank:
        model = deepcopy(model)
        merge_lora(model)
    if tower.tok_proj is None:
        model.save_pretrained(folder)
    else:
        _save_scalar(model, tower.tok_proj, folder)
    config = read_json(folder / "config.json")
    section: dict[str, Any] = {
        "format": 1,
        "kind": tower.config.kind,
        "pooling": tower.config.pooling,
        "activation": "relu" if tower.config.kind == "scalar" else tower.config.activation,
        "special_tokens": tower.config.special_tokens,
        "max_length": tokenizer.max_length,
        **(extra or {}),
    }
    if tower.top_k:
        section["top_k"] = tower.top_k
    if tower.dense_head is not None:
        save_dense_head(tower.dense_head, folder / DENSE_HEAD)
        section["dense_head"] = DENSE_HEAD
    if tower.config.kind == "scalar":
        section["head_prefix"] = "tok_proj"
    write_json(folder / "config.json", {**config, "splade_engine": section})
    save_tokenizer(tokenizer, folder)


def _save_scalar(model: Any, head: torch.nn.Linear, folder: Path) -> None:
    """Body and scalar head in one file, under the names of the published uniCOIL checkpoints."""
    from safetensors.torch import save_file

    body = model.base_model
    prefix = getattr(model, "base_model_prefix", "bert")
    state = {f"{prefix}.{k}": v.detach().contiguous().clone() for k, v in body.state_dict().items()}
    state |= {f"tok_proj.{k}": v.detach().contiguous().clone() for k, v in head.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(folder)


def _save_csr(student: CsrStudent, folder: Path, tokenizer: TextTokenizer, overwrite: bool) -> None:
    """A sentence-transformers folder: Transformer, Pooling, [Normalize], SparseAutoEncoder."""
    from safetensors.torch import save_file

    a = student.autoencoder
    kinds = ["Transformer", "Pooling", *(["Normalize"] if student.normalize else []), "SparseAutoEncoder"]
    paths = [f"{i}_{kind}" if i else "" for i, kind in enumerate(kinds)]
    packages = {
        "Transformer": "base.modules.transformer",
        "Pooling": "sentence_transformer.modules.pooling",
        "Normalize": "base.modules.normalize",
        "SparseAutoEncoder": "sparse_encoder.modules.sparse_auto_encoder",
    }
    width = len(a.pre_bias)
    with new_folder(folder, overwrite=overwrite) as out:
        for path in paths:
            (out / path).mkdir(exist_ok=True)
        student.body.save_pretrained(out)
        save_tokenizer(tokenizer, out)
        write_json(out / "sentence_bert_config.json", {"max_seq_length": tokenizer.max_length})
        write_json(
            out / paths[1] / "config.json",
            {"embedding_dimension": width, "pooling_mode": student.pooling, "include_prompt": True},
        )
        write_json(
            out / paths[-1] / "config.json",
            {
                "input_dim": width,
                "hidden_dim": student.n_terms,
                "k": a.k,
                "k_aux": a.k_aux,
                "normalize": False,
                "dead_threshold": a.dead_after,
            },
        )
        state = {
            "decoder.linear.weight": a.encoder.weight,  # tied: safetensors keeps one of the two names
            "pre_bias": a.pre_bias,
            "latent_bias": a.latent_bias,
            "stats_last_nonzero": a.get_buffer("since_fired"),
        }
        tensors = {k: v.detach().contiguous() for k, v in state.items()}
        names = {"encoder.weight": "decoder.linear.weight"}
        save_file(tensors, out / paths[-1] / "model.safetensors", metadata=names)
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{packages[kind]}.{kind}"}
            for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
        ]
        write_json(out / "modules.json", modules)
        write_json(
            out / "config_sentence_transformers.json",
            {
                "model_type": "SparseEncoder",
                "similarity_fn_name": "dot",
                "prompts": {"query": "", "document": ""},
            },
        )


def save_tokenizer(tokenizer: TextTokenizer, folder: Path) -> None:
    """`tokenizer.json` without truncation or padding, and the model's limit beside it."""
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(tokenizer._tokenizer.to_str())
    plain.no_truncation()
    plain.no_padding()
    plain.save(str(folder / "tokenizer.json"))
    special = {
        name: token
        for name, tokens in _SPECIAL.items()
        for token in tokens
        if tokenizer.token_id(token) is not None
    }
    write_json(
        folder / "tokenizer_config.json",
        {
            "model_max_length": tokenizer.max_length,
            "tokenizer_class": "PreTrainedTokenizerFast",
            **special,
        },
    )
