"""JSON lines of token weights: Seismic's, with real weights, and Anserini's, with whole ones."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from splade_engine.errors import InvalidInputError
from splade_engine.files import parsed_json
from splade_engine.plain_text import shortened
from splade_engine.vectors.dicts import LARGEST
from splade_engine.vectors.files.vector_file import VectorFile
from splade_engine.vectors.sparse_vectors import SparseVectors

ANSERINI_SCALE = 100.0
# what a compressed file of a megabyte can hold: 100,000 times its size
LONGEST_LINE = 1 << 26
MOST_BLANK = 1_000_000


def write_seismic(file: IO[bytes], content: VectorFile) -> None:
    """Write weights with the nine digits that tell two float32 apart."""
    _write(file, content, lambda row: {"vector": {t: float(f"{w:.9g}") for t, w in row.items()}})


def write_anserini(file: IO[bytes], content: VectorFile) -> None:
    """Write weights times `ANSERINI_SCALE`, rounded; those of 0 are left out."""

    def record(row: dict[str, float]) -> dict[str, Any]:
        whole = {token: round(weight * ANSERINI_SCALE) for token, weight in row.items()}
        return {"content": "", "vector": {t: w for t, w in whole.items() if w}}

    _write(file, content, record)


def read_seismic(path: Path, vocabulary: Sequence[str] | None = None) -> VectorFile:
    """Read real weights; without a vocabulary it is made of the tokens that occur, sorted."""
    return _read(path, vocabulary, 1.0)


def read_anserini(path: Path, vocabulary: Sequence[str] | None = None) -> VectorFile:
    """Read whole weights, divided by `ANSERINI_SCALE`; as `read_seismic` otherwise."""
    return _read(path, vocabulary, ANSERINI_SCALE)


def _write(
    file: IO[bytes], content: VectorFile, record: Callable[[dict[str, float]], dict[str, Any]]
) -> None:
    rows = content.vectors.to_token_dicts(content.vocabulary or [])
    for name, row in zip(content.ids or [], rows, strict=True):
        line = {"id": name, **record(row)}
        file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")


def _read(path: Path, vocabulary: Sequence[str] | None, scale: float) -> VectorFile:
    ids: list[str] = []
    places: dict[str, int] = {}
    rows: list[dict[str, float]] = []
    for number, line in _lines(path):
        name, row = _parsed(path, number, line)
        if (first := places.setdefault(name, number)) != number:
            raise InvalidInputError(
                f"{path}, line {number}: duplicate id {_quoted(name)}, first on line {first}"
            )
        ids.append(name)
        rows.append({token: weight / scale for token, weight in row.items()} if scale != 1 else row)
    tokens = list(vocabulary) if vocabulary is not None else sorted({token for row in rows for token in row})
    if not tokens:
        raise InvalidInputError(f"{path}: no vectors, and no vocabulary given")
    return VectorFile(SparseVectors.from_token_dicts(rows, tokens), ids, tokens)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    if path.suffix == ".gz" and path.stat().st_size == 0:  # Python reads it as a stream of no members
        raise EOFError
    blank = 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:
                raise InvalidInputError(f"{path}, line {number}: more than {LONGEST_LINE:,} bytes: no vector")
            blank = 0 if line.strip() else blank + 1
            if blank > MOST_BLANK:
                raise InvalidInputError(f"{path}, line {number}: {blank:,} blank lines in a row")
            if not blank:
                yield number, line


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, dict[str, float]]:
    place = f"{path}, line {number}"
    try:
        record = parsed_json(line.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidInputError(f"{place}: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{place}: not JSON ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise InvalidInputError(f"{place}: nested too deeply") from None
    except ValueError as error:
        reason = "a number is too large" if "digits" in str(error) else str(error)
        raise InvalidInputError(f"{place}: {reason}") from None
    if not isinstance(record, dict) or not isinstance(record.get("vector"), dict):
        raise InvalidInputError(f'{place}: expected an object with "id" and "vector"')
    name = record.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)  # Seismic's own writer stores integer ids
    if not isinstance(name, str):
        raise InvalidInputError(f"{place}: id {_quoted(name)} is not a string")
    for token, weight in record["vector"].items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < LARGEST:
            raise InvalidInputError(f"{place}: token {_quoted(token)} has the weight {_quoted(weight)}")
    return name, record["vector"]


def _quoted(value: Any) -> str:
    """A value as an error shows it: recognisable, and not a page long."""
    return shortened(repr(value), 80)
