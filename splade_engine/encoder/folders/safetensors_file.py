"""Safetensors files by their headers: what a file says it holds, compared with what is there. Torch-free.

uint64 n, n bytes of JSON {name: {dtype, shape, data_offsets: [first, last]}}, the numbers
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.folders.files import inside, present, read_json, regular
from splade_engine.encoder.settings import is_integer
from splade_engine.errors import CheckpointError
from splade_engine.files import parsed_json

SHARDS = "model.safetensors.index.json"
_LONGEST_HEADER = 100_000_000
MOST_TENSORS = 20_000
"""Of one file: what a model of a thousand layers has. Each is looked at several times."""
_POINTER = b"version https://git-lfs"

# bytes per number, and what numpy reads it as; None: by `_widened`
_FLOATS: dict[str, tuple[int, str | None]] = {
    "F64": (8, "<f8"), "F32": (4, "<f4"), "F16": (2, "<f2"), "BF16": (2, None), "F8_E5M2": (1, None),
    "F8_E4M3": (1, None),
}  # fmt: skip
_OTHERS = {
    "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "C64": 8,
    "F8_E8M0": 1,
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a header describes it."""

    dtype: str
    shape: tuple[int, ...]
    # where its bytes begin in the file
    start: int

    @property
    def is_float(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.dtype in _FLOATS

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """What a file holds.

    Raises:
        CheckpointError: if it is no safetensors file, a Git LFS pointer, or cut short.
    """
    regular(path)
    length = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if first == _POINTER[:8] and (first + file.read(len(_POINTER) - 8)) == _POINTER:
            raise CheckpointError(f"{path}: a Git LFS pointer, not the file itself: git lfs pull fetches it")
        size = struct.unpack("<Q", first)[0] if len(first) == 8 else -1
        if not 0 < size <= min(_LONGEST_HEADER, length - 8):
            raise CheckpointError(f"{path}: not a safetensors file, or cut short ({length:,} bytes)")
        file.seek(8)
        text = file.read(size)
    try:
        header = parsed_json(text)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, AttributeError, RecursionError) as error:
        twice = f" ({error})" if "occurs twice" in str(error) else ""
        raise CheckpointError(f"{path}: not a safetensors file: its header is damaged{twice}") from error
    if len(entries) > MOST_TENSORS:
        raise CheckpointError(f"{path}: {len(entries):,} tensors, more than any model has")
    try:
        found = {name: _tensor(entry, 8 + size) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: its header is damaged") from error
    if length != 8 + size + end:
        raise CheckpointError(
            f"{path}: cut short or damaged: {length:,} bytes, its header describes {8 + size + end:,}"
        )
    return found


def _tensor(entry: dict[str, Any], base: int) -> StoredTensor:
    dtype, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    each = _FLOATS[dtype][0] if dtype in _FLOATS else _OTHERS[dtype]
    if not all(is_integer(n) and n >= 0 for n in (first, last, *shape)):
        raise ValueError
    if last - first != each * math.prod(shape):
        raise ValueError
    return StoredTensor(dtype, tuple(shape), base + first)


def read_floats(path: Path) -> dict[str, NDArray[np.float32]]:
    """The floating-point tensors of a small file, of any precision, as float32.

    Raises:
        CheckpointError: as `read_header`, and for tensors that are no floating-point numbers.
    """
    header = read_header(path)
    with path.open("rb") as file:
        out = {}
        for name, tensor in header.items():
            if not tensor.is_float:
                raise CheckpointError(f"{path}: {name:.80} is {tensor.dtype}, not floating-point numbers")
            file.seek(tensor.start)
            data = file.read(tensor.size * _FLOATS[tensor.dtype][0])
            out[name] = _widened(data, tensor.dtype).reshape(tensor.shape)
    return out


def _widened(data: bytes, dtype: str) -> NDArray[np.float32]:
    known = _FLOATS[dtype][1]
    if known is not None:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as that
            numbers: NDArray[np.float32] = np.frombuffer(data, known).astype(np.float32)
        return numbers
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    octets = np.frombuffer(data, np.uint8)
    if dtype == "F8_E5M2":  # the upper half of a float16
        return (octets.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    return _E4M3[octets]


def _e4m3() -> NDArray[np.float32]:
    """All 256 values of F8_E4M3: no infinities, NaN where all other bits are set."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, (codes & 7) / 8
    size = np.where(exponent == 0, mantissa * 2.0**-6, (1 + mantissa) * 2.0 ** (exponent - 7.0))
    size[(codes & 127) == 127] = np.nan
    return np.where(codes < 128, size, -size).astype(np.float32)


_E4M3 = _e4m3()


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights, sorted: one, or those that an index names, as transformers reads them.

    Whatever lies beside them is another model, or a remnant of one. Only shards without an index are told
    by their names.

    Raises:
        CheckpointError: the index names no files, or one that is missing or not in the folder.
    """
    if shards := weight_map(folder):
        found = sorted({inside(folder, shard, folder / SHARDS) for shard in shards.values()})
        if lost := [path for path in found if not path.is_file()]:
            raise CheckpointError(f"{lost[0]}: missing, one of the files of the weights")
        return found
    whole = folder / "model.safetensors"
    if present(whole):
        return [whole]
    return sorted(p for p in folder.iterdir() if p.name.startswith("model") and p.suffix == ".safetensors")


def weight_map(folder: Path) -> dict[str, Any]:
    """File of each tensor, by the index of the shards; empty where one file holds all, or there is no index.

    Raises:
        CheckpointError: the index names none.
    """
    index = folder / SHARDS
    if present(folder / "model.safetensors") or not present(index):
        return {}
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise CheckpointError(f"{index}: no weight_map")
    return shards
