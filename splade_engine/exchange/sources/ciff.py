"""CIFF: whole numbers by term; ours say what weights were multiplied by."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from pathlib import Path
from typing import Any

from splade_engine.errors import InvalidInputError
from splade_engine.exchange.ciff_file import read_ciff
from splade_engine.exchange.source import Imported, Options, Source
from splade_engine.files import disk_errors
from splade_engine.vectors import SparseVectors
from splade_engine.vectors.files.vector_file import NO_CHECKSUM

logger = logging.getLogger(__name__)
_OURS = re.compile(r"splade-engine, weights times ([0-9.e+]+)")
_NEARLY_OURS = re.compile(r"splade-engine|weights times|checksum")


def read(path: Path, options: Options) -> Imported:
    """Read the lists; terms are the tokens that they name."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file")
    with disk_errors(path, "read"):
        try:
            with path.open("rb") as file:
                content: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
                rows, ids, header = read_ciff(path, content)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InvalidInputError(f"{path}: the gzip stream is damaged or cut short") from None
    ours = _OURS.fullmatch(header.description)
    if ours is None and _NEARLY_OURS.search(header.description):
        raise InvalidInputError(
            f"{path}: damaged: its description is none of ours, {header.description!r:.80}"
        )
    if not header.checked:
        logger.info("%s: %s", path, NO_CHECKSUM)
    scale = options.scale
    if scale is None:
        scale = float(ours[1]) if ours else 1.0
    tokens = (
        list(options.vocabulary)
        if options.vocabulary is not None
        else sorted({token for row in rows for token in row})
    )
    if not tokens:
        raise InvalidInputError(f"{path}: holds no term")
    weighed = [{token: number / scale for token, number in row.items()} for row in rows]
    try:
        vectors = SparseVectors.from_token_dicts(weighed, tokens)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    return Imported(vectors, ids, vocabulary=tokens)


CIFF = Source("ciff", read, (".ciff", ".ciff.gz"))
