"""Dense vectors in files, a block of rows each with its checksum: an interruption costs one block."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_engine.files import atomic_file, digest

_DIGEST = 32  # bytes


def write_block(file: Path, vectors: NDArray[np.float32], made_from: bytes = b"") -> None:
    """Write float32[n, d]: the digest of what follows, then an array as numpy writes it.

    Args:
        file: to write.
        vectors: the block.
        made_from: names what it was made from; it is digested too, before the array.

    Raises:
        StorageError: the disk refuses.
    """
    data = io.BytesIO()
    np.save(data, vectors, allow_pickle=False)
    with atomic_file(file) as stream:
        stream.write(digest(made_from + data.getbuffer()).encode())
        stream.write(data.getbuffer())


def read_block(file: Path, n_rows: int, made_from: bytes = b"") -> NDArray[np.float32] | None:
    """The vectors in a file; None where there is none, or it is not the one of `n_rows` that was written."""
    try:
        data = memoryview(file.read_bytes())
        if bytes(data[:_DIGEST]).decode("ascii", "replace") != digest(made_from + data[_DIGEST:]):
            return None
        vectors: NDArray[np.float32] = np.load(io.BytesIO(data[_DIGEST:]), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == n_rows else None
