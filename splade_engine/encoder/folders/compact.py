"""The compact model folder: int8 rows with float16 scales, as the bundled encoder is stored.

    config.json                 transformers' BertConfig plus a `splade_engine` section (how vectors are made)
    tokenizer.json              the `tokenizers` file, without truncation or padding
    model.safetensors           BertForMaskedLM state: every matrix `x` as int8[rows, columns] with `x.scale`
                                float16[rows], x = codes * scale; vectors (biases, norms) in float32
    query_weights.safetensors   optional, `weight` float32[V]: the inference-free query table
    dense_head.safetensors      optional, the second head in its compact form (`dense_head.py`)
    README.md                   the model card

A folder whose section says `"base": "default"` holds its own layers and what else differs from the bundled
encoder; the other tensors, the query table and the second head are those of the bundled encoder.

A MiniLM-L6 size BERT (22.7 M parameters) takes 24 MB this way. The vocabulary decoder is not stored: it is
the input embedding (tied). One scale per row keeps the rounding error below 0.4 % of the row's largest
weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.encoder.checkpoint import DENSE_HEAD
from splade_engine.encoder.folders.ours import QUERY_WEIGHTS, SECTION, section_of
from splade_engine.encoder.kinds.mlm import MaskedLm
from splade_engine.encoder.settings import EncoderSettings
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import atomic_folder, write_json

if TYPE_CHECKING:
    import torch

    from splade_engine.encoder.fast.dense_head import DenseHead

    Array = NDArray[Any] | torch.Tensor
else:
    Array = Any

Scheme = Literal["int8", "float16"]

_SCALE = ".scale"
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def save_quantized(
    folder: str | Path,
    *,
    state: Mapping[str, Array],
    config: Mapping[str, Any],
    tokenizer: str | Path,
    query_weights: NDArray[np.float32] | None = None,
    dense_head: DenseHead | None = None,
    settings: EncoderSettings | None = None,
    name: str = "",
    readme: str = "",
    scheme: Scheme = "int8",
    overwrite: bool = False,
) -> None:
    """Write a BertForMaskedLM as a compact folder, atomically.

    Args:
        folder: created, or empty, or replaced as a whole with `overwrite`.
        state: `BertForMaskedLM.state_dict()` (tensors or arrays, any float dtype); a pooler is left out.
        config: `BertForMaskedLM.config.to_dict()`.
        tokenizer: a `tokenizer.json`.
        query_weights: float32[V], the inference-free query table; None encodes queries like documents.
        dense_head: the document side's second head; None for none.
        settings: how vectors are made; None: max pooling, log1p, special tokens zero, all positions.
        name: what the model is called.
        readme: the model card.
        scheme: `int8`, or `float16` for twice the size and no loss to speak of.
        overwrite: replace a folder that is there; until the last moment it stays as it is.

    Raises:
        InvalidInputError: naming what does not fit.
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer

    if config.get("model_type") != "bert":
        raise InvalidInputError(f"the compact format holds BERT models, not {config.get('model_type')!r}")
    if scheme not in ("int8", "float16"):
        raise InvalidInputError(f"scheme must be int8 or float16, got {shown(scheme)}")
    tensors = _packed(_untied(state), scheme)
    n_terms = int(config["vocab_size"])
    settings = settings or EncoderSettings(
        special_tokens="zero", max_length=int(config["max_position_embeddings"])
    )
    section = section_of(MaskedLm(), settings) | {"scheme": scheme, "quantized": True}
    if name:
        section["name"] = name
    table = None if query_weights is None else _checked_table(query_weights, n_terms)
    if table is not None:
        section["query_weights"] = QUERY_WEIGHTS
    if dense_head is not None:
        section["dense_head"] = DENSE_HEAD
    text_tokenizer = Tokenizer.from_file(str(tokenizer))
    text_tokenizer.no_truncation()
    text_tokenizer.no_padding()
    with atomic_folder(folder, overwrite=overwrite, mark="config.json") as out:
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
        if table is not None:
            save_file({"weight": table}, out / QUERY_WEIGHTS)
        if dense_head is not None:
            from splade_engine.encoder.fast.dense_head import save_dense_head

            save_dense_head(dense_head, out / DENSE_HEAD, compact=True)
        text_tokenizer.save(str(out / "tokenizer.json"), pretty=False)
        write_json(out / "config.json", {**_plain(config), SECTION: section})
        (out / "README.md").write_text(readme, encoding="utf-8")


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without what describes a machine or a moment."""
    drop = {"_name_or_path", "dtype", "torch_dtype", "_attn_implementation", SECTION}
    out = {k: v for k, v in config.items() if k not in drop and v is not None}
    return {**out, "architectures": ["BertForMaskedLM"]}


def _checked_table(weights: NDArray[np.float32], n_terms: int) -> NDArray[np.float32]:
    table = _as_float32(weights)
    if table.shape != (n_terms,):
        raise InvalidInputError(f"query_weights of shape {table.shape} for a vocabulary of {n_terms}")
    bad = ~(np.isfinite(table) & (table >= 0))
    if bad.any():
        term = int(np.argmax(bad))
        raise InvalidInputError(f"query_weights[{term}] is {table[term]}: finite and not negative is wanted")
    return table


def _untied(state: Mapping[str, Array]) -> dict[str, NDArray[np.float32]]:
    """float32 arrays without the tied decoder, the pooler and position buffers."""
    arrays = {
        k: _as_float32(v)
        for k, v in state.items()
        if "pooler" not in k and not k.endswith(("position_ids", "token_type_ids"))
    }
    for name, twin in _TIED.items():
        if name in arrays:
            if twin in arrays and not np.array_equal(arrays[name], arrays[twin]):
                raise InvalidInputError(f"{name} differs from {twin}: the compact format ties them")
            arrays.setdefault(twin, arrays[name])
            del arrays[name]
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InvalidInputError(f"{name} holds a value that is not finite")
    return arrays


def _as_float32(value: Array) -> NDArray[np.float32]:
    if hasattr(value, "detach"):  # a torch tensor, perhaps bfloat16, which numpy does not know
        value = value.detach().float().cpu().numpy()
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as that
        return np.ascontiguousarray(value, dtype=np.float32)


def _packed(arrays: Mapping[str, NDArray[np.float32]], scheme: Scheme) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.ndim != 2:
            out[name] = array
        elif scheme == "float16":
            out[name] = array.astype(np.float16)
        else:
            out[name], out[name + _SCALE] = quantize_rows(array)
    return out


def quantize_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """int8[rows, columns] codes in -127..127 and float16[rows] scales; codes * scale is close to `matrix`."""
    largest = np.abs(matrix).max(axis=1)
    if largest.max(initial=0) > 127 * 60_000:
        raise InvalidInputError(f"a weight of {largest.max()} is beyond the range of the float16 scales")
    scale = (largest / 127).astype(np.float16)
    # rounding the scale down would push the row's largest weight over 127
    scale = np.where(scale.astype(np.float32) * 127 < largest, np.nextafter(scale, np.float16(np.inf)), scale)
    divisor = np.where(scale > 0, scale, 1).astype(np.float32)
    codes = np.clip(np.rint(matrix / divisor[:, None]), -127, 127).astype(np.int8)
    return codes, scale.astype(np.float16)


def read_state(
    folder: Path, dtype: torch.dtype | None = None, base: Path | None = None
) -> dict[str, torch.Tensor]:
    """The state of a compact folder, every tensor widened once.

    Args:
        folder: written by `save_quantized`.
        dtype: of the tensors returned; None is float32.
        base: a compact folder that lends the tensors that `folder` lacks, but for those of layers.

    Raises:
        CheckpointError: if the file cannot be read or a matrix lacks its scale.
    """
    import torch

    from splade_engine.encoder.folders.weights import is_of_a_layer

    path = folder / "model.safetensors"
    stored = _stored(path)
    if base is not None:
        lent = _stored(base / path.name)
        stored = {name: tensor for name, tensor in lent.items() if not is_of_a_layer(name)} | stored
    wanted = dtype or torch.float32
    state = {}
    for name, tensor in stored.items():
        if name.endswith(_SCALE):
            continue
        if tensor.dtype == torch.int8:
            scale = stored.get(name + _SCALE)
            if scale is None or scale.shape != tensor.shape[:1]:
                raise CheckpointError(f"{path}: {name} has no row scales")
            state[name] = (tensor.float() * scale.float().unsqueeze(1)).to(wanted)
        else:
            state[name] = tensor.to(wanted)
    return state


def _stored(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file as they are."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from splade_engine.encoder.folders.safetensors_file import read_header
    from splade_engine.encoder.folders.weights import check_finite

    try:
        read_header(path)
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not readable: {error}") from error
    check_finite(stored, path)
    return stored
