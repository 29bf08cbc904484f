"""npz files of CSR matrices: scipy's `save_npz`, and the embeddings of lsr-benchmark, a folder or a file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_engine.arguments import shown
from splade_engine.errors import InvalidInputError, reason_of
from splade_engine.exchange.ids import listed_ids
from splade_engine.exchange.rows import sorted_rows
from splade_engine.exchange.source import Imported, Options, Source
from splade_engine.files import check_one_zip

_PARTS = ("data", "indices", "indptr")
_FURTHER = ("format", "shape", "_is_array")  # scipy's; lsr-benchmark's files have none of them
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,
    AttributeError,
    TypeError,
    RuntimeError,  # a flag says that it is encrypted
)


def read(path: Path, options: Options) -> Imported:
    """Read a matrix; ids are in `doc-ids.txt` beside `doc-embeddings.npz`."""
    file = path / "doc" / "doc-embeddings.npz" if path.is_dir() else path
    if not file.is_file():
        what = "name a file of the folder; only one of lsr-benchmark is taken whole" if path.is_dir() else ""
        raise InvalidInputError(f"{file}: no such file{'; ' * bool(what)}{what}")
    try:
        # opened here: numpy leaves a file open that is none of its own
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            check_one_zip(stored.zip, file)
            missing = [name for name in _PARTS if name not in stored.files]
            if missing:
                raise InvalidInputError(
                    f"{file}: no array {missing[0]!r}; a CSR matrix has data, indices, indptr"
                )
            other = next((name for name in stored.files if name not in (*_PARTS, *_FURTHER)), None)
            if other is not None and "shape" not in stored.files:  # a damaged name is in no checksum
                raise InvalidInputError(
                    f"{file}: an array {other!r:.40}, and none that is called 'shape': is the file damaged?"
                )
            arrays = {name: stored[name] for name in (*_PARTS, *_FURTHER) if name in stored.files}
            none = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
            if none is not None:  # numpy gives the bytes of what does not begin as an array does
                raise InvalidInputError(f"{file}: {none!r} is no array")
            if "format" in arrays and arrays["format"].item() not in (b"csr", "csr"):
                raise InvalidInputError(f"{file}: not a CSR matrix ({arrays['format'].item()!r:.20})")
            data, indices, indptr = (arrays[name] for name in _PARTS)
    except _DAMAGED as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{file}: not an npz file ({reason_of(error):.100})") from None
    n_terms = options.n_terms
    try:
        if "shape" in arrays:
            columns = _columns(arrays["shape"], indptr)
            n_terms = columns if n_terms is None else n_terms
        vectors = sorted_rows(indptr, indices, data, n_terms, options.scale)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from None
    beside = file.with_name(file.name.replace("-embeddings.npz", "-ids.txt"))
    listed = options.ids is None and beside != file and beside.is_file()
    return Imported(vectors, listed_ids(beside, len(vectors)) if listed else None)


def _columns(shape: NDArray[Any], indptr: NDArray[Any]) -> int:
    """How many columns there are, of a shape whose rows are those of `indptr`.

    Raises:
        InvalidInputError: they are others, or it is none of a matrix.
    """
    if shape.shape != (2,) or not np.issubdtype(shape.dtype, np.integer):
        raise InvalidInputError(f"shape: two whole numbers are expected, got {shown(shape.tolist())}")
    if shape[0] != indptr.size - 1:
        raise InvalidInputError(f"its shape says {shape[0]} rows, its indptr {indptr.size - 1}")
    return int(shape[1])


NPZ = Source("npz", read, (".npz",))
