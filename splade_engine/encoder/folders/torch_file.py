"""Tensors of a small file that `torch.save` wrote, without running anything that the file says.

Such a file is a zip with a pickle, and a pickle is a program: whatever it names is imported and called. This
reader lets it name three things, all of them ours: an ordered dictionary, the kinds of numbers, and "a
tensor of these bytes". Anything else is refused before it is imported, so `import pickle` is safe here and
banned in every other file. torch is not needed, sizes are bounded, and strides are checked against the
bytes that are there.
"""

from __future__ import annotations

import math
import pickle  # noqa: TID251  see above: `_Tensors.find_class` is the whole of what a file can reach
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.encoder.settings import is_integer
from splade_engine.errors import CheckpointError, InvalidInputError
from splade_engine.files import check_one_zip

MOST_BYTES = 1 << 24
"""Of the file, and of what it unpacks to: a head of a few thousand numbers needs a thousandth of it."""

_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
}


def read_torch_file(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a state dictionary as float32 arrays.

    Raises:
        CheckpointError: if the file holds anything but tensors, or is not a zip that `torch.save` wrote.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes, a head has at most {MOST_BYTES:,}")
        with zipfile.ZipFile(path) as archive:
            check_one_zip(archive, path)
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise CheckpointError(f"{path}: unpacks to more than {MOST_BYTES:,} bytes")
            found = _Tensors(archive).load()
    except InvalidInputError as error:
        raise CheckpointError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle or zip raises whatever its bytes lead to
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise CheckpointError(f"{path}: not a file of tensors that torch.save wrote ({reason})") from error
    if not isinstance(found, dict) or not all(
        isinstance(k, str) and isinstance(v, np.ndarray) for k, v in found.items()
    ):
        raise CheckpointError(f"{path}: not a dictionary of named tensors")
    return dict(found)


class _Tensors(pickle.Unpickler):
    """The pickle of an archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(names) != 1:
            raise CheckpointError(f"{len(names)} entries data.pkl, expected one")
        self._archive, self._root = archive, names[0].removesuffix("data.pkl")
        if self._read("byteorder", b"little") != b"little":
            raise CheckpointError("numbers in big-endian order")
        super().__init__(archive.open(names[0]))

    def _read(self, name: str, missing: bytes | None = None) -> bytes:
        if missing is not None and self._root + name not in self._archive.namelist():
            return missing
        return self._archive.read(self._root + name)

    def find_class(self, module: str, name: str) -> Any:
        """The one place where a pickle reaches out of itself."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise CheckpointError(
            f"it asks for {module[:60]!r}.{name[:60]!r}, which tensors do not need: refused"
        )

    def persistent_load(self, pid: Any) -> NDArray[np.float32]:
        """The numbers of a storage: ("storage", its kind, its entry, the device, how many)."""
        _, kind, key, _, count = pid
        if not isinstance(key, str) or not key.isdigit() or not is_integer(count):
            raise CheckpointError("a storage without a number")
        data = self._read(f"data/{key}")
        if kind == "bfloat16":
            halves = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            numbers: NDArray[np.float32] = halves.view(np.float32)
        else:
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as that
                numbers = np.frombuffer(data, str(kind)).astype(np.float32)
        if len(numbers) != count:
            raise CheckpointError(f"{len(numbers)} numbers where {count} are said to be")
        return numbers


def _rebuilt(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> NDArray[np.float32]:
    """A tensor of `size` at `offset` of its storage. Only gapless ones, as `torch.save` writes parameters."""
    shape = tuple(size)
    if not isinstance(storage, np.ndarray) or not all(is_integer(n) and n >= 0 for n in (offset, *shape)):
        raise CheckpointError("a tensor without storage or shape")
    gapless = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    total = math.prod(shape)
    if any(s != g for s, g, n in zip(stride, gapless, shape, strict=True) if n > 1):
        raise CheckpointError(f"a tensor of shape {shape} with strides {tuple(stride)}")
    if offset + total > len(storage):
        raise CheckpointError(f"a tensor of {total} numbers in a storage of {len(storage)}")
    out: NDArray[np.float32] = storage[offset : offset + total].reshape(shape)
    return out
