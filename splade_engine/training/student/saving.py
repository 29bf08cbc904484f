"""Writing a trained student as a model folder that `SparseEncoder.load` reads, atomically."""

from __future__ import annotations

from pathlib import Path

from splade_engine.encoder.quiet import quiet_transformers
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.files import atomic_folder
from splade_engine.training.student.student import Student


def save_student(
    student: Student,
    folder: str | Path,
    documents: TextTokenizer,
    queries: TextTokenizer,
    *,
    overwrite: bool = False,
) -> None:
    """Write weights, tokenizers and settings; low-rank updates are merged.

    One encoder is a transformers folder with a `splade_engine` section in config.json and, inference-free, a
    `query_weights.safetensors`; two encoders are the folders `document/` and `query/`; a sparse autoencoder
    is a sentence-transformers folder.

    Raises:
        InvalidInputError: if the folder is not empty (without `overwrite`).
        StorageError: if the disk refuses.
    """
    with quiet_transformers(), atomic_folder(folder, overwrite=overwrite) as out:
        student.write(out, documents, queries)
