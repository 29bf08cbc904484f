"""The table of layouts of vector files, and reading and writing by it."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from splade_engine.arguments import first_twice, many, path_of, shown
from splade_engine.errors import InvalidInputError, StorageError
from splade_engine.files import atomic_file, refuse_ours
from splade_engine.plain_text import is_text
from splade_engine.vectors.checks import checked_vocabulary
from splade_engine.vectors.files.csr import read_csr, write_csr
from splade_engine.vectors.files.json_lines import (
    read_anserini,
    read_seismic,
    write_anserini,
    write_seismic,
)
from splade_engine.vectors.files.tables import read_arrow, read_parquet, write_arrow, write_parquet
from splade_engine.vectors.files.vector_file import NO_CHECKSUM, VectorFile
from splade_engine.vectors.sparse_vectors import SparseVectors

logger = logging.getLogger(__name__)

Format = Literal["arrow", "parquet", "seismic", "anserini", "csr"]


@dataclass(frozen=True)
class Layout:
    """How one format is written and read."""

    # writes what a file holds to a stream of bytes
    write: Callable[[IO[bytes], VectorFile], None]
    # reads a file; the second argument is the token of each term id, where the caller knows them
    read: Callable[[Path, Sequence[str] | None], VectorFile]
    # whether it is lines of text, which name their tokens and may be compressed
    is_text: bool = False
    # whether damage that leaves it readable is noticed
    has_checksum: bool = False


# a new format is a file beside this one and a row here
LAYOUTS: dict[Format, Layout] = {
    "arrow": Layout(write_arrow, read_arrow, has_checksum=True),
    "parquet": Layout(write_parquet, read_parquet, has_checksum=True),
    "seismic": Layout(write_seismic, read_seismic, is_text=True),
    "anserini": Layout(write_anserini, read_anserini, is_text=True),
    "csr": Layout(write_csr, read_csr),
}
_SUFFIXES: dict[str, Format] = {".arrow": "arrow", ".parquet": "parquet", ".jsonl": "seismic", ".csr": "csr"}


def write_vectors(
    path: str | Path,
    vectors: SparseVectors,
    ids: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    *,
    format: Format | None = None,
    encoder: Mapping[str, str | int] | None = None,
) -> None:
    """Write a batch atomically, in the format of the path's suffix unless `format` says otherwise.

    Args:
        path: the file to write or replace.
        vectors: the batch.
        ids: one string per row; default "0", "1", ...
        vocabulary: token of each term id; the JSONL formats need it.
        format: overrides the suffix ("anserini" for .jsonl files of whole numbers).
        encoder: record of the encoder that made them (`encoder_record`), kept in our own layouts.

    Raises:
        InvalidInputError: wrong number of ids, one that is no text or given twice, no vocabulary for JSONL,
            unknown suffix, a file within a folder of ours.
        StorageError: the disk refused.
    """
    path = path_of("path", path)
    refuse_ours(path)
    kind = _known(format) or format_of(path)
    content = VectorFile(
        vectors,
        [str(i) for i in range(len(vectors))] if ids is None else list(many("ids", ids)),
        None if vocabulary is None else list(checked_vocabulary(vocabulary)),
        None if encoder is None else dict(encoder),
    )
    store_vectors(path, content, kind)


def store_vectors(path: Path, content: VectorFile, kind: Format = "arrow") -> None:
    """Write a file of that format, in a folder of ours too: the file is a part of it.

    Raises:
        InvalidInputError, StorageError: as `write_vectors`.
    """
    layout, names = LAYOUTS[kind], content.ids or []
    _check_ids(path, names)
    if len(names) != len(content.vectors):
        raise InvalidInputError(f"{path}: {len(names)} ids for {len(content.vectors)} vectors")
    if layout.is_text and content.vocabulary is None:
        raise InvalidInputError(f"{path}: the {kind} format names tokens, so it needs the vocabulary")
    with atomic_file(path) as file:
        if layout.is_text and path.suffix == ".gz":
            # without time and name of the file: the same vectors give the same bytes
            compressed: Any = gzip.GzipFile("", mode="wb", fileobj=file, mtime=0)
            with compressed as stream:
                layout.write(stream, content)
        else:
            layout.write(file, content)


def read_vectors(
    path: str | Path, vocabulary: Sequence[str] | None = None, *, format: Format | None = None
) -> VectorFile:
    """Read a batch; everything in it is validated.

    Args:
        path: the file.
        vocabulary: token of each term id, for JSONL files; without it the vocabulary is made of the tokens
            that occur, sorted, and comes back in the result.
        format: overrides the suffix ("anserini" for .jsonl files of whole numbers).

    Raises:
        InvalidInputError: naming the file and the line or row of what is wrong.
        StorageError: the file cannot be opened.
    """
    path = path_of("path", path)
    layout = LAYOUTS[_known(format) or format_of(path)]
    vocabulary = None if vocabulary is None else checked_vocabulary(vocabulary)
    if not layout.has_checksum and path.suffix != ".gz":
        logger.info("%s: %s", path, NO_CHECKSUM)
    with _reading(path):
        found = layout.read(path, vocabulary)
        _check_ids(path, found.ids or [])
    return found


def _check_ids(path: Path, ids: Sequence[str]) -> None:
    """Raises InvalidInputError for an id that is no text, holds half a surrogate pair, or is there twice."""
    for row, name in enumerate(ids):
        if not isinstance(name, str):
            raise InvalidInputError(f"{path}: row {row}: the id {shown(name)} is not a string")
        if not is_text(name):
            raise InvalidInputError(f"{path}: row {row}: the id {shown(name)} holds half a surrogate pair")
    if len(set(ids)) < len(ids):
        raise InvalidInputError(f"{path}: the id {shown(first_twice(ids))} is given twice")


def _known(format: Format | None) -> Format | None:
    if format is not None and format not in LAYOUTS:
        raise InvalidInputError(f"format: {shown(format)} is not one of {', '.join(LAYOUTS)}")
    return format


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Put the file's name into whatever goes wrong while it is read."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
        raise InvalidInputError(f"{path}: not a regular file")
    try:
        yield
    except InvalidInputError as error:
        text = str(error)
        raise InvalidInputError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidInputError(f"{path}: the gzip stream is damaged or cut short") from None
    except OSError as error:
        raise StorageError(error.errno, f"cannot read {path}: {error.strerror or error}") from error


def format_of(path: Path) -> Format:
    """The format of a file by its suffix.

    Raises:
        InvalidInputError: for an unknown one.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _SUFFIXES or (path.suffix == ".gz" and suffix != ".jsonl"):
        known = ", ".join(_SUFFIXES)
        raise InvalidInputError(
            f"{path}: unknown vector file type {path.suffix!r}; one of {known}, .jsonl.gz"
        )
    return _SUFFIXES[suffix]
