"""Writing a trained student as a model folder that `SparseEncoder.load` reads."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from splade_engine.encoder.checkpoint import read_json
from splade_engine.encoder.folder import new_folder, write_json
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.training.lora import merge_lora
from splade_engine.training.model import SparseStudent, Tower

QUERY_WEIGHTS = "query_weights.safetensors"


def save_student(
    student: SparseStudent,
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


def save_tokenizer(tokenizer: TextTokenizer, folder: Path) -> None:
    """`tokenizer.json` without truncation or padding, and the model's limit beside it."""
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(tokenizer._tokenizer.to_str())
    plain.no_truncation()
    plain.no_padding()
    plain.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {"model_max_length": tokenizer.max_length, "tokenizer_class": "PreTrainedTokenizerFast"},
    )
