"""`import_vectors`: vectors that another system, or an earlier encoding, wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from splade_engine.arguments import path_of, whole
from splade_engine.collections.text_lines import read_lines
from splade_engine.errors import EncoderMismatchError, InvalidInputError
from splade_engine.exchange.ids import listed_ids
from splade_engine.exchange.record import RECORD, Origin, origin_of
from splade_engine.exchange.rounding import factor
from splade_engine.exchange.source import Imported, Options
from splade_engine.exchange.sources import SOURCES
from splade_engine.exchange.target import safe_names
from splade_engine.vectors.checks import MAX_TERMS, checked_vocabulary


def import_vectors(
    path: str | Path,
    *,
    format: str | None = None,
    vocabulary: Sequence[str] | None = None,
    n_terms: int | None = None,
    scale: float | None = None,
    ids: str | Path | None = None,
) -> Imported:
    """Read vectors; whatever is in the file is validated.

    Args:
        path: a file, or an embedding folder of lsr-benchmark.
        format: a name of `SOURCES`; None: by the name of the file and, for JSON lines, by its first line.
        vocabulary: token of each term, of the encoder that the vectors are of. Files that name tokens are
            read with it, those of an export of ours by the names that it gave them; None: with the tokens
            that occur, sorted.
        n_terms: size of the vocabulary, where terms are numbers; None: as the file says, or the export of
            ours that it lies in, or one more than the largest.
        scale: what weights were multiplied by, where the format or the file does not say.
        ids: a file of ids, one a line, for formats that have none.

    Raises:
        InvalidInputError: naming the file and the line or row of what is wrong; or a file of an export of
            ours that is not as it was exported.
        EncoderMismatchError: a vocabulary of another size than that of the export's encoder.
        StorageError: the file cannot be read.
    """
    path = path_of("path", path)
    scale = None if scale is None else factor(scale)
    n_terms = None if n_terms is None else whole("n_terms", n_terms, 1, MAX_TERMS)
    vocabulary = None if vocabulary is None else checked_vocabulary(vocabulary)
    name = format or format_of_source(path)
    source = SOURCES.get(name)
    if source is None:
        raise InvalidInputError(f"import: no format {name!r:.40}; there are {', '.join(SOURCES)}")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InvalidInputError(f"{path}: a pipe or a device, expected a file or a folder")
    origin = origin_of(path)
    said = n_terms if n_terms is not None or origin is None else origin.n_terms
    tokens, numbered = _names(path, vocabulary, origin), origin is not None and origin.numbered
    options = Options(tokens, said, scale, None if ids is None else path_of("ids", ids))
    found = source.read(path, options)
    if found.vocabulary is not None and (vocabulary is not None or numbered):
        found = replace(found, vocabulary=None if vocabulary is None else list(vocabulary))
    if n_terms is not None and found.vectors.n_terms != n_terms:
        raise InvalidInputError(f"{path}: vectors over {found.vectors.n_terms} terms, not {n_terms}")
    own = vocabulary is None and found.vocabulary is not None  # the tokens that occur, not the encoder's
    if origin is not None and origin.encoder is not None and found.encoder is None and not own:
        if found.vectors.n_terms != origin.n_terms:
            raise EncoderMismatchError(
                f"{path}: vectors of {origin.encoder.get('name')} over {origin.n_terms} terms, as the "
                f"{RECORD} of their export says, not over {found.vectors.n_terms}"
            )
        found = replace(found, encoder=origin.encoder)
    if options.ids is None:
        return found
    if found.ids is not None:
        raise InvalidInputError(f"import: ids {ids}: the ids of {path} are in the file itself")
    return replace(found, ids=listed_ids(options.ids, len(found.vectors)))


def _names(path: Path, vocabulary: Sequence[str] | None, origin: Origin | None) -> Sequence[str] | None:
    """What a file may call its terms, by their number; None: nothing is known of it."""
    if origin is None or (vocabulary is None and not origin.numbered):
        return vocabulary
    if not origin.numbered:  # exports name the token "." by its number
        return safe_names(vocabulary, len(vocabulary or ()))
    if vocabulary is not None and len(vocabulary) != origin.n_terms:
        raise EncoderMismatchError(
            f"{path}: a vocabulary of {len(vocabulary)} tokens, but vectors over {origin.n_terms} terms, as "
            f"the {RECORD} of their export says"
        )
    return safe_names(None, origin.n_terms or 0)  # "10" is term 10, whatever token is called so


def format_of_source(path: Path) -> str:
    """The format that a file is of.

    Raises:
        InvalidInputError: it cannot be told.
    """
    if path.is_dir():
        return "npz"
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _of_lines(path)
    for source in SOURCES.values():
        if path.name.endswith(source.suffixes):
            return source.name
    raise InvalidInputError(f"{path}: of which format? --from {', '.join(SOURCES)}")


def _of_lines(path: Path) -> str:
    for _, line in read_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        vector = record.get("vector") if isinstance(record, dict) else None
        answer = isinstance(record, dict) and "result" in record
        named = isinstance(vector, dict) and any(isinstance(v, dict | list) for v in vector.values())
        return "qdrant" if named or answer else "seismic"
    return "seismic"
