"""Writing a trained student as a model folder that `SparseEncoder.load` reads.

The layouts are the encoder's: it is given weights, tokenizer and settings (`encoder/folders/`).
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from splade_engine.encoder.folders.export import Side, write_root
from splade_engine.encoder.folders.ours import write_model
from splade_engine.encoder.folders.tokenizer import save_tokenizer
from splade_engine.encoder.kinds import Csr, Echo, Kind, MaskedLm, Scalar
from splade_engine.encoder.kinds.csr import write_autoencoder, write_pooling
from splade_engine.encoder.kinds.scalar import save_scalar
from splade_engine.encoder.quiet import quiet_transformers
from splade_engine.encoder.settings import Activation, DensePooling, EncoderSettings
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.files import atomic_folder
from splade_engine.training.student.csr import CsrStudent
from splade_engine.training.student.lora import merge_lora
from splade_engine.training.student.sparse import SparseStudent, Tower
from splade_engine.training.student.student import Student

_KINDS: dict[str, Kind] = {"mlm": MaskedLm(), "echo": Echo(), "scalar": Scalar()}


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
    with quiet_transformers(), atomic_folder(folder, overwrite=overwrite) as out:
        if isinstance(student, CsrStudent):
            _save_csr(student, out, documents)
            return
        assert isinstance(student, SparseStudent)
        if student.queries is not None:
            for name, tower, tokenizer in (
                ("document", student.documents, documents),
                ("query", student.queries, queries),
            ):
                (out / name).mkdir()
                _save_tower(tower, out / name, tokenizer)
            return
        table: NDArray[np.float32] | None = None
        if student.table is not None:
            weights: Tensor = student.table.detach().float().clamp(min=0).cpu()
            table = (weights * student.documents.kept.cpu()).numpy()
        _save_tower(student.documents, out, documents, table)


def _save_tower(
    tower: Tower, folder: Path, tokenizer: TextTokenizer, table: NDArray[np.float32] | None = None
) -> None:
    config = tower.config
    model: Any = tower.backbone.model
    if config.lora_rank:
        model = deepcopy(model)
        merge_lora(model)
    head = tower.tok_proj
    write_model(
        folder,
        kind=_KINDS[config.kind],
        settings=EncoderSettings(
            max_length=tokenizer.max_length,
            pooling=config.pooling,
            activation=_saved_activation(config.activation) if head is None else "relu",
            special_tokens=config.special_tokens,
            top_k=tower.top_k or None,
            lowercase=tokenizer.lowercase,
        ),
        tokenizer=tokenizer,
        weights=model.save_pretrained if head is None else lambda out: save_scalar(model, head, out),
        query_weights=table,
        dense_head=tower.dense_head,
    )


def _saved_activation(name: str) -> Activation:
    """What the encoder computes: `relu_gelu` differs from relu in its gradient only."""
    if name == "log1p_relu" or name == "log1p_log1p_relu":
        return name
    return "relu"


def _save_csr(student: CsrStudent, out: Path, tokenizer: TextTokenizer) -> None:
    """A sentence-transformers folder: Transformer, Pooling, [Normalize], SparseAutoEncoder."""
    a = student.autoencoder
    pooling = DensePooling(student.pooling, student.normalize)
    settings = EncoderSettings(
        max_length=tokenizer.max_length, activation="relu", lowercase=tokenizer.lowercase
    )

    def transformer(folder: Path) -> None:
        student.body.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)

    def modules(folders: dict[str, Path]) -> None:
        write_pooling(folders["Pooling"], pooling, len(a.pre_bias))
        write_autoencoder(
            folders["SparseAutoEncoder"],
            weight=a.encoder.weight,
            pre_bias=a.pre_bias,
            latent_bias=a.latent_bias,
            since_fired=a.get_buffer("since_fired"),
            settings={"k": a.k, "k_aux": a.k_aux, "dead_threshold": a.dead_after},
        )

    written = Side(Csr(out, pooling), settings, transformer, modules).write(out, ["", "1_", "2_", "3_"])
    write_root(out, written, settings)
