"""Our encoders inside sentence-transformers: the one module of a folder that its own modules cannot express.

sentence-transformers has no place for a second head, light terms left out, queries that count their tokens,
and more. A folder with such settings would load there without a word and give other vectors. So its
modules.json names this class: with `SparseEncoder(folder, trust_remote_code=True)` and splade-engine
installed the vectors are ours, bit for bit; without either, loading ends in an error.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules.module import Module
from torch import Tensor

from splade_engine.encoder.encoder import SparseEncoder


class WholeEncoder(Module):
    """A splade-engine encoder as a module: texts in, term weights out.

    It is frozen: `preprocess` encodes the texts, `forward` hands the vectors on.

    Args:
        encoder: the encoder.
    """

    forward_kwargs = {"task"}  # noqa: RUF012  # the class above has a set
    save_in_root = True

    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.encoder = encoder
        self.register_buffer("place", torch.zeros(0), persistent=False)  # which `to` moves

    def preprocess(
        self, inputs: Sequence[str], prompt: str | None = None, task: str | None = None, **options: Any
    ) -> dict[str, Tensor]:
        """The vectors of texts, float32[n, V]; `task` = `query` encodes queries, all else documents."""
        texts = [prompt + text for text in inputs] if prompt else list(inputs)
        encode = self.encoder.encode_queries if task == "query" else self.encoder.encode_documents
        return {"sentence_embedding": torch.from_numpy(encode(texts).to_scipy().toarray())}

    def forward(self, features: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
        """What `preprocess` made."""
        return features

    def get_embedding_dimension(self) -> int:
        """Size of the vocabulary."""
        return self.encoder.n_terms

    get_sentence_embedding_dimension = get_embedding_dimension

    @property
    def max_seq_length(self) -> int:
        """Tokens per text."""
        return self.encoder.max_length

    @property
    def tokenizer(self) -> Any:
        """The folder's tokenizer as transformers has it, which names the terms."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.encoder.checkpoint.model_folder)

    def save(self, output_path: str, *args: Any, **options: Any) -> None:
        """Copy the encoder's files."""
        shutil.copytree(self.encoder.checkpoint.folder, Path(output_path), dirs_exist_ok=True)

    @classmethod
    def load(  # type: ignore[override]  # of its arguments, those that matter here
        cls, model_name_or_path: str, subfolder: str = "", revision: str | None = None, **options: Any
    ) -> WholeEncoder:
        """The encoder of a folder or hub id."""
        source = str(Path(model_name_or_path) / subfolder) if subfolder else model_name_or_path
        return cls(SparseEncoder.load(source, revision=revision))
