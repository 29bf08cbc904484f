"""npz files of CSR matrices: scipy's `save_npz`, and the embeddings of lsr-benchmark, a folder or a file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

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
            shape = arrays.get("shape")
    except _DAMAGED as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{file}: not an npz file ({reason_of(error):.100})") from None
    n_terms = options.n_terms
    if n_terms is None and shape is not None and shape.shape == (2,):
        n_terms = int(shape[1])
    try:
        vectors = sorted_rows(
            indptr, indices, data if options.scale is None else data / options.scale, n_terms
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from None
    beside = file.with_name(file.name.replace("-embeddings.npz", "-ids.txt"))
    listed = options.ids is None and beside != file and beside.is_file()
    return Imported(vectors, listed_ids(beside, len(vectors)) if listed else None)


NPZ = Source("npz", read, (".npz",))
